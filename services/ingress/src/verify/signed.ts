import { headerOf, repeated } from "./header.ts";
import {
  contentKey,
  type HmacAlgorithm,
  keyOf,
  matchHmac,
  maxSignatures,
  type SignatureEncoding,
  type SignatureMatch,
  type SignedContent,
} from "./signature.ts";
import { judgeTimestamp } from "./timestamp.ts";
import {
  type Answer,
  type Refusal,
  type Rejected,
  rejected,
  type Secret,
  unavailable,
  type Verdict,
  type WebhookRequest,
} from "./verdict.ts";

/** One signature in one header of its own. */
export interface SignatureHeader {
  /** In lower case. */
  readonly header: string;
  /** What stands before the signature, such as `sha256=`. */
  readonly prefix: string;
  readonly algorithm: HmacAlgorithm;
  readonly encoding: SignatureEncoding;
}

const digestBytes = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const;

/** Says why a request is not authentic; `undefined`: it is. `content`: what is signed, default the body. */
export function judgeSignature(
  { rawHeaders, body }: WebhookRequest,
  secrets: readonly Secret[],
  nowMs: number,
  { header, prefix, algorithm, encoding }: SignatureHeader,
  content: SignedContent = [body],
): Refusal | undefined {
  const value = headerOf(rawHeaders, header);
  if (value === undefined) return rejected("signature_missing");
  if (value === repeated) return rejected("header_repeated");
  if (!value.startsWith(prefix) || value.length !== prefix.length + encodedLength(algorithm, encoding)) {
    return rejected("signature_malformed");
  }
  const signatures = [value.slice(prefix.length)];
  return refusalOf(matchHmac({ algorithm, encoding, content, signatures, secrets, nowMs }));
}

/** The verdict on a signature or token that does not match; `undefined`: it does. */
export function refusalOf(match: SignatureMatch): Refusal | undefined {
  if (match === "no-current-secret") return unavailable;
  return match === "mismatch" ? rejected("signature_mismatch") : undefined;
}

function encodedLength(algorithm: HmacAlgorithm, encoding: SignatureEncoding): number {
  const bytes = digestBytes[algorithm];
  if (encoding === "hex") return bytes * 2;
  return encoding === "base64" ? Math.ceil(bytes / 3) * 4 : Math.ceil((bytes * 4) / 3);
}

/** The timestamp header as sent, once it is judged in both directions. `header` is lower case. */
export function timestampOf(
  rawHeaders: readonly string[],
  header: string,
  toleranceMs: number,
  nowMs: number,
): string | Rejected {
  const sent = headerOf(rawHeaders, header);
  if (sent === repeated) return rejected("header_repeated");
  if (sent === undefined) return rejected("timestamp_missing");
  return judgeTimestamp(sent, 1000, toleranceMs, nowMs) ?? sent;
}

/** A time and any number of signatures in one header, such as `t=1492774577,v1=5257a869…,v1=…`. */
export interface SignatureFields {
  /** In lower case. */
  readonly header: string;
  /** What stands between the fields. */
  readonly separator: string;
  /** How the field of the time starts, such as `t=`. It may stand once. */
  readonly time: string;
  /** How a field of a signature starts, such as `v1=`. Other fields are not looked at. */
  readonly signature: string;
  /** What stands between time and body in what is signed with HMAC-SHA256, in hexadecimal. */
  readonly glue: string;
}

/** Says why a request is not authentic; `undefined`: it is. Every signature is tried with every current secret. */
export function judgeFields(
  { rawHeaders, body }: WebhookRequest,
  secrets: readonly Secret[],
  nowMs: number,
  fields: SignatureFields,
  toleranceMs: number,
): Refusal | undefined {
  const header = headerOf(rawHeaders, fields.header);
  if (header === undefined) return rejected("signature_missing");
  if (header === repeated) return rejected("header_repeated");

  let time: string | undefined;
  const signatures: string[] = [];
  for (const field of header.split(fields.separator)) {
    if (field.startsWith(fields.signature)) {
      if (signatures.length < maxSignatures) signatures.push(field.slice(fields.signature.length));
    } else if (field.startsWith(fields.time)) {
      if (time !== undefined) return rejected("signature_malformed");
      time = field.slice(fields.time.length);
    }
  }
  if (time === undefined) return rejected("timestamp_missing");
  if (signatures.length === 0) return rejected("signature_missing");
  const untimely = judgeTimestamp(time, 1000, toleranceMs, nowMs);
  if (untimely !== undefined) return untimely;
  const content = [time, fields.glue, body];
  return refusalOf(matchHmac({ algorithm: "sha256", encoding: "hex", content, signatures, secrets, nowMs }));
}

/** What an authentic request says of its event. */
export interface Description {
  readonly id: string | undefined;
  readonly type: string | undefined;
  readonly parsed?: unknown;
  readonly answer?: Answer;
}

/** The verdict on an authentic request. Without an id, the same bytes are the same event. */
export function verified(body: Buffer, { id, type, parsed, answer }: Description): Verdict {
  return {
    kind: "verified",
    dedupeKey: id === undefined ? contentKey(body) : keyOf(id),
    eventId: id,
    eventType: type,
    ...(parsed === undefined ? {} : { parsed }),
    ...(answer === undefined ? {} : { answer }),
  };
}
