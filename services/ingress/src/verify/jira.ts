import { atlassianSignature } from "./bitbucket.ts";
import { describingHeader } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { judgeSignature, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

/**
 * Jira Cloud: HMAC-SHA256 of the body. `X-Atlassian-Webhook-Identifier` is the same for every try, and is not signed.
 * Source: https://developer.atlassian.com/cloud/jira/platform/webhooks/
 */
export const verifyJira: Verify = (request, secrets, nowMs) => {
  const refusal = judgeSignature(request, secrets, nowMs, atlassianSignature);
  if (refusal !== undefined) return refusal;
  const parsed = parseJson(request.body);
  return verified(request.body, {
    id: describingHeader(request.rawHeaders, "x-atlassian-webhook-identifier"),
    type: textMember(parsed, "webhookEvent"),
    parsed,
  });
};
