import { WarrenError } from "@warren/contracts";
import type { JobRecord } from "@warren/ledger";
import { unpackResult } from "./envelope.ts";
import { openPayload, openResult } from "./payload.ts";
import type { Payloads } from "./seal.ts";
import { revealError } from "./shield.ts";

/** Stands for data that is not shown. */
export interface Placeholder {
  /** `keyId` is left out where a compensation carries what its step was made of. */
  readonly encrypted?: { readonly keyId?: string };
  readonly offloaded?: { readonly bytes?: number };
  /** Why it could not be opened, when that was tried. */
  readonly code?: string;
}

/**
 * A job for people to look at: payload, result and errors in plain where `payloads` can open them, else placeholders such as
 * `{ encrypted: { keyId } }`. Never throws for data that does not open. Without `payloads` nothing is fetched.
 */
export async function viewJob(job: JobRecord, payloads: Payloads = {}): Promise<JobRecord> {
  const isPlain =
    job.payloadForm === undefined && !isWrapped(job.result) && job.errors.every(({ details }) => details === undefined);
  if (isPlain) return job;
  const { form, value } = formOfResult(job.result);
  return {
    ...job,
    payload: await show(job.payloadForm, job.payload, payloads, () => openPayload(job, payloads)),
    result: await show(form, value, payloads, () => openResult(job, payloads)),
    errors: job.errors.map((error) => {
      try {
        return revealError(job, error, payloads);
      } catch {
        return error;
      }
    }),
  };
}

async function show(
  form: string | undefined,
  value: unknown,
  payloads: Payloads,
  open: () => Promise<unknown>,
): Promise<unknown> {
  if (form === undefined) return value;
  const { keyRing, store } = payloads;
  const lacks = (form.includes("a256gcm") && keyRing === undefined) || (form.includes("object") && store === undefined);
  if (lacks) return placeholder(form, value);
  try {
    return await open();
  } catch (error) {
    return { ...placeholder(form, value), code: error instanceof WarrenError ? error.code : "PAYLOAD_SEAL_BROKEN" };
  }
}

function placeholder(form: string, value: unknown): Placeholder {
  const { kid, bytes } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  return {
    ...(form.includes("a256gcm") ? { encrypted: typeof kid === "string" ? { keyId: kid } : {} } : {}),
    ...(form.includes("object") ? { offloaded: typeof bytes === "number" ? { bytes } : {} } : {}),
  };
}

function isWrapped(result: unknown): boolean {
  return typeof result === "object" && result !== null && Object.hasOwn(result, "$warren");
}

function formOfResult(result: unknown): { readonly form: string | undefined; readonly value: unknown } {
  try {
    return unpackResult("the result", result);
  } catch {
    return { form: "damaged", value: undefined };
  }
}
