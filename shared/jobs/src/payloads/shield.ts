import type { JobError } from "@warren/ledger";
import { decrypt, encrypt, type Place } from "./cipher.ts";
import { readEnvelope } from "./envelope.ts";
import type { Payloads } from "./seal.ts";

/** Names under which the sealed original of an error lies in its details. */
const sealedField = "sealed";
const hidden = "hidden: the job is encrypted, and messages may quote its data";

/**
 * The error of an encrypted job, for the ledger and the log: code and attempt stay, message, stack and details are encrypted with the
 * job's own key, since an error often quotes the data it failed on.
 */
export function hideError(
  job: { readonly id: string; readonly name: string },
  error: JobError,
  { keyRing }: Payloads,
): JobError {
  if (keyRing === undefined) return { code: error.code, message: hidden };
  const { message, stack, details } = error;
  const place: Place = { jobId: job.id, name: job.name, column: "error" };
  const { kid, iv, data } = encrypt(place, JSON.stringify({ message, stack, details }), keyRing);
  return { code: error.code, message: hidden, details: { [sealedField]: { kid, iv, data: data.toString("base64") } } };
}

/** The error as it was, for those who have the key. @throws PayloadError `PAYLOAD_KEY_UNKNOWN`, `PAYLOAD_SEAL_BROKEN`. */
export function revealError<Kept extends JobError>(
  job: { readonly id: string; readonly name: string },
  error: Kept,
  { keyRing }: Payloads,
): Kept {
  const sealed = error.details?.[sealedField];
  if (error.message !== hidden || sealed === undefined) return error;
  const envelope = readEnvelope(`an error of job ${job.id}`, "a256gcm", sealed);
  if (envelope.form !== "a256gcm") return error;
  const place: Place = { jobId: job.id, name: job.name, column: "error" };
  const data = Buffer.from(envelope.data, "base64");
  const clear = JSON.parse(decrypt(place, { kid: envelope.kid, iv: envelope.iv, data }, keyRing)) as Partial<JobError>;
  const { details: _, ...kept } = error;
  return { ...kept, ...clear } as Kept;
}
