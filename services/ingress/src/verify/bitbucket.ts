import { describingHeader } from "./header.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

/** The name is that of GitHub's old SHA-1 header, so the method in front of the signature is part of what is required. */
export const atlassianSignature: SignatureHeader = {
  header: "x-hub-signature",
  prefix: "sha256=",
  algorithm: "sha256",
  encoding: "hex",
};

/**
 * Bitbucket Cloud and Data Center: HMAC-SHA256 of the body. The id (`X-Request-UUID`, Data Center `X-Request-Id`) and the event's name
 * are not signed: that is Bitbucket's protocol.
 * Source: https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/ and
 * https://confluence.atlassian.com/bitbucketserver/manage-webhooks-938025878.html
 */
export const verifyBitbucket: Verify = (request, secrets, nowMs) => {
  const refusal = judgeSignature(request, secrets, nowMs, atlassianSignature);
  if (refusal !== undefined) return refusal;
  const { rawHeaders, body } = request;
  return verified(body, {
    id: describingHeader(rawHeaders, "x-request-uuid") ?? describingHeader(rawHeaders, "x-request-id"),
    type: describingHeader(rawHeaders, "x-event-key"),
  });
};
