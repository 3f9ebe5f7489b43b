import { hash } from "node:crypto";
import { z } from "zod";
import { type FormFields, fieldOf, parseForm, plainFields } from "./form.ts";
import { describingHeader, headerOf, repeated } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { parameterOf, publicUrlOf, publicUrlOption } from "./query.ts";
import { contentKey, keyOf, matchHmac } from "./signature.ts";
import { refusalOf } from "./signed.ts";
import { rejected, type Verify } from "./verdict.ts";

export const twilioOptions = z.strictObject({
  /** The address as configured at Twilio; its query, if any, is taken from the request. */
  publicUrl: publicUrlOption,
});

const bodyHash = "bodySHA256";

/** The status fields of Twilio's products: messages, calls, recordings, conversations. */
const typeFields = ["MessageStatus", "SmsStatus", "CallStatus", "RecordingStatus", "EventType"];

/**
 * Twilio: HMAC-SHA1 in base64 of the address and of the form's sorted fields; a JSON body is signed through its hash, which stands
 * in the signed query as `bodySHA256`. Twilio sometimes signs the address with its port and sometimes without, so both are tried.
 * A signature covers what a form means, not its spelling (`%2B` or `%2b`), and no time: nothing but the delivery's token, which
 * is not signed, tells a repetition from a new event.
 * Source: https://www.twilio.com/docs/usage/security#validating-requests
 */
export function twilioVerifier({ publicUrl }: z.infer<typeof twilioOptions>): Verify {
  const addresses = spellings(publicUrl);
  return ({ rawHeaders, url, body }, secrets, nowMs) => {
    const signature = headerOf(rawHeaders, "x-twilio-signature");
    if (signature === undefined) return rejected("signature_missing");
    if (signature === repeated) return rejected("header_repeated");
    if (signature.length !== 28) return rejected("signature_malformed");
    const promised = parameterOf(url, bodyHash);
    if (promised === repeated) return rejected("signature_malformed");

    const fields: FormFields = promised === undefined ? parseForm(body) : new Map();
    const parameters = signedFields(fields);
    let refusal = refusalOf("mismatch");
    for (const address of addresses) {
      const content = [publicUrlOf(address, url), parameters];
      const match = matchHmac({
        algorithm: "sha1",
        encoding: "base64",
        content,
        signatures: [signature],
        secrets,
        nowMs,
      });
      if (match !== "mismatch") refusal = refusalOf(match);
    }
    if (refusal !== undefined) return refusal;
    if (promised !== undefined && promised !== hash("sha256", body, "hex")) return rejected("signature_mismatch");

    const parsed = promised === undefined ? plainFields(fields) : parseJson(body);
    const token = describingHeader(rawHeaders, "i-twilio-idempotency-token");
    return {
      kind: "verified",
      dedupeKey:
        token === undefined ? contentKey(Buffer.concat([Buffer.from(`${url}\n`, "utf8"), body])) : keyOf(token),
      eventId: token,
      eventType: promised === undefined ? typeOf(fields) : textMember(firstOf(parsed), "type"),
      parsed,
    };
  };
}

/** Names in order, each followed by its values: without repetitions, in order. */
function signedFields(fields: FormFields): Buffer {
  let text = "";
  for (const name of [...fields.keys()].sort()) {
    for (const value of [...new Set(fields.get(name))].sort()) text += name + value;
  }
  return Buffer.from(text, "utf8");
}

function typeOf(fields: FormFields): string | undefined {
  for (const name of typeFields) {
    const value = fieldOf(fields, name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Event Streams sends a list of CloudEvents. */
function firstOf(parsed: unknown): unknown {
  return Array.isArray(parsed) ? (parsed as readonly unknown[])[0] : parsed;
}

/** An address with and without its port. */
function spellings(publicUrl: string): readonly string[] {
  const parts = /^(?<scheme>https?):\/\/(?<host>(?:[^/?@]*@)?(?:\[[^\]]*\]|[^/?:]*))(?<port>:\d+)?(?<rest>.*)$/.exec(
    publicUrl,
  );
  const { scheme = "", host = "", port, rest = "" } = parts?.groups ?? {};
  const usual = scheme === "https" ? ":443" : ":80";
  return [`${scheme}://${host}${rest}`, `${scheme}://${host}${port ?? usual}${rest}`];
}
