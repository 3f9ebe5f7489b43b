import { headerOf, repeated } from "./header.ts";
import {
  type HmacAlgorithm,
  matchHmac,
  type SignatureEncoding,
  type SignatureMatch,
  type SignedContent,
} from "./signature.ts";
import { defaultToleranceMs, judgeTimestamp } from "./timestamp.ts";
import { type Refusal, type Rejected, rejected, type Secret, unavailable, type WebhookRequest } from "./verdict.ts";

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
  nowMs: number,
  {
    unitMs = 1000,
    toleranceMs = defaultToleranceMs,
  }: { readonly unitMs?: 1 | 1000; readonly toleranceMs?: number } = {},
): string | Rejected {
  const sent = headerOf(rawHeaders, header);
  if (sent === repeated) return rejected("header_repeated");
  if (sent === undefined) return rejected("timestamp_missing");
  return judgeTimestamp(sent, unitMs, toleranceMs, nowMs) ?? sent;
}
