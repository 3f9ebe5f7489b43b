import { fieldOf, parseForm, plainFields } from "./form.ts";
import { member, parseJson, textMember } from "./json.ts";
import { judgeSignature, type SignatureHeader, timestampOf, verified } from "./signed.ts";
import { answer, jsonAnswer, type Verdict, type Verify } from "./verdict.ts";

const signature: SignatureHeader = {
  header: "x-slack-signature",
  prefix: "v0=",
  algorithm: "sha256",
  encoding: "hex",
};

/**
 * Slack (Events API, interactivity, slash commands): HMAC-SHA256 of `v0:timestamp:body`. `url_verification` is answered with its
 * challenge. Commands and interactions are answered with nothing: Slack would show a body to the user, and a worker may
 * use the `response_url`.
 * Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
 */
export function slackVerifier({ toleranceSeconds }: { readonly toleranceSeconds: number }): Verify {
  return (request, secrets, nowMs) => {
    const time = timestampOf(request.rawHeaders, "x-slack-request-timestamp", toleranceSeconds * 1000, nowMs);
    if (typeof time !== "string") return time;
    const refusal = judgeSignature(request, secrets, nowMs, signature, ["v0:", time, ":", request.body]);
    if (refusal !== undefined) return refusal;

    const parsed = parseJson(request.body);
    if (parsed === undefined) return formVerdict(request.body);
    const type = textMember(parsed, "type");
    const challenge = textMember(parsed, "challenge");
    if (type === "url_verification" && challenge !== undefined) {
      return { kind: "challenge", answer: jsonAnswer({ challenge }), eventType: type };
    }
    const event = textMember(member(parsed, "event"), "type") ?? type;
    return verified(request.body, { id: textMember(parsed, "event_id"), type: event, parsed });
  };
}

/** Interactions carry their JSON in `payload`, commands are plain fields. */
function formVerdict(body: Buffer): Verdict {
  const fields = parseForm(body);
  if (fieldOf(fields, "ssl_check") === "1") return { kind: "challenge", answer: answer(200), eventType: "ssl_check" };
  const payload = fieldOf(fields, "payload");
  const parsed: unknown = payload === undefined ? plainFields(fields) : parseJson(Buffer.from(payload));
  const type = textMember(parsed, "type") ?? (fields.has("command") ? "slash_command" : undefined);
  return verified(body, { id: undefined, type, parsed, answer: answer(200) });
}
