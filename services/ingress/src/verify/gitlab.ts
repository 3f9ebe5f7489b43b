import { describingHeader, headerOf, repeated } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { matchToken } from "./signature.ts";
import { refusalOf, verified } from "./signed.ts";
import { verifyStandardWebhooks } from "./standard-webhooks.ts";
import { rejected, type Verify, type WebhookRequest } from "./verdict.ts";

/**
 * GitLab. `token`: the secret token comes as it is in `X-Gitlab-Token`, and nothing is signed. `signature`: a signing token signs by
 * Standard Webhooks, and then the bare token is never looked at, so nobody can downgrade to it.
 * `Idempotency-Key` is the same for every try. Source: https://docs.gitlab.com/user/project/integrations/webhooks/
 */
export function gitlabVerifier({ scheme }: { readonly scheme: "token" | "signature" }): Verify {
  if (scheme === "token") return verifyToken;
  return (request, secrets, nowMs) => {
    const verdict = verifyStandardWebhooks(request, secrets, nowMs);
    return verdict.kind === "verified" ? { ...verdict, eventType: eventOf(request, verdict.parsed) } : verdict;
  };
}

const verifyToken: Verify = (request, secrets, nowMs) => {
  const token = headerOf(request.rawHeaders, "x-gitlab-token");
  if (token === undefined) return rejected("signature_missing");
  if (token === repeated) return rejected("header_repeated");
  const refusal = refusalOf(matchToken(token, secrets, nowMs));
  if (refusal !== undefined) return refusal;
  const parsed = parseJson(request.body);
  const id = describingHeader(request.rawHeaders, "idempotency-key");
  return verified(request.body, { id, type: eventOf(request, parsed), parsed });
};

/** System hooks say `event_name`; what the body says may be signed, so it comes before the header. */
function eventOf({ rawHeaders }: WebhookRequest, parsed: unknown): string | undefined {
  const said = textMember(parsed, "object_kind") ?? textMember(parsed, "event_name");
  return said ?? describingHeader(rawHeaders, "x-gitlab-event");
}
