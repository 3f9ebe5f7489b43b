import { createHash } from "node:crypto";
import { type NewJob, newId } from "@warren/ledger";
import { z } from "zod";
import type { JobDefinition } from "../define.ts";
import { jsonText } from "../json.ts";
import type { Place } from "./cipher.ts";
import { packResult, type Sealed, unpackResult } from "./envelope.ts";
import { PayloadError } from "./errors.ts";
import { largestInlineBytes } from "./limits.ts";
import { openText, type Payloads, type SealPolicy, sealText, staysPlain } from "./seal.ts";

/** A payload as a row has it. */
export interface StoredPayload {
  readonly id: string;
  /** What makes the job unique, if something does. */
  readonly uniqueKey?: string | undefined;
  /** The schedule that made it, if one did. */
  readonly schedule?: string | undefined;
  readonly name: string;
  readonly payload: unknown;
  readonly payloadForm?: string | undefined;
}

/**
 * Whose a sealed payload is: its job's. But a newer job of the same unique key may hand its payload to the one that waits, and all jobs of a
 * schedule have the same one: theirs is bound to what they share, by an id made from that.
 */
function payloadOwner(stored: Pick<StoredPayload, "id" | "name" | "uniqueKey" | "schedule">): string {
  const { id, name, uniqueKey, schedule } = stored;
  if (uniqueKey !== undefined) return idOf(["warren unique 1", name, uniqueKey]);
  return schedule === undefined ? id : idOf(["warren schedule 1", name, schedule]);
}

function idOf(shared: readonly string[]): string {
  const hash = createHash("sha256").update(JSON.stringify(shared)).digest("hex");
  return hash.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5");
}

/**
 * The row of a job with its payload sealed as its definition says. A sealed job gets its id here: it is bound into the ciphertext.
 * @throws PayloadError `PAYLOAD_KEY_RING_MISSING`, `PAYLOAD_STORE_…`.
 */
export async function sealJob(definition: SealPolicy, job: NewJob, payloads: Payloads): Promise<NewJob> {
  const text = JSON.stringify(job.payload) ?? "null";
  if (staysPlain(definition, text)) return job;
  const id = job.id ?? newId();
  const { name, schedule } = job;
  const jobId = payloadOwner({ id, name, schedule, uniqueKey: job.unique?.key ?? job.uniqueKey });
  const { form, value } = await sealText({ jobId, name, column: "payload" }, text, definition, payloads);
  const isFresh = job.id === undefined ? { idIsFresh: true } : {};
  return { ...job, ...isFresh, id, payload: value, ...(form === undefined ? {} : { payloadForm: form }) };
}

/** Uploads under way for one call. */
const mostAtOnce = 8;

/** The same for many: order kept, a few at once. Rows that stay plain pass untouched. */
export async function sealJobs(
  definition: SealPolicy,
  drafts: readonly { readonly job: NewJob; readonly isPlain: boolean }[],
  payloads: Payloads,
): Promise<readonly NewJob[]> {
  const jobs = drafts.map(({ job }) => job);
  const open = [...drafts.entries()].filter(([, { isPlain }]) => !isPlain);
  async function work(): Promise<void> {
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const [index, { job }] = next;
      jobs[index] = await sealJob(definition, job, payloads);
    }
  }
  await Promise.all(Array.from({ length: Math.min(mostAtOnce, open.length) }, work));
  return jobs;
}

/** A payload in plain. Costs nothing when it is stored plain. @throws PayloadError as `openText`. */
export async function openPayload(stored: StoredPayload, payloads: Payloads): Promise<unknown> {
  const { name, payload, payloadForm } = stored;
  if (payloadForm === undefined) return payload;
  if (payloadForm.endsWith(undoSuffix)) return openUndo(stored, payloads);
  const place: Place = { jobId: payloadOwner(stored), name, column: "payload" };
  return JSON.parse(await openText(place, { form: payloadForm, value: payload }, payloads)) as unknown;
}

/**
 * The form of a compensation's payload whose step was sealed: step and result lie in it as they lay with the step, bound to its id and
 * name. The ledger makes it; what comes before tells whether any of it is encrypted.
 */
const undoSuffix = "+undo";

const undoPayload = z.looseObject({
  payload: z.unknown(),
  result: z.unknown(),
  step: z.object({ id: z.string(), name: z.string(), form: z.string().optional() }),
});

async function openUndo({ id: jobId, payload: stored }: StoredPayload, payloads: Payloads): Promise<unknown> {
  const parsed = undoPayload.safeParse(stored);
  if (!parsed.success) throw new PayloadError("PAYLOAD_SEAL_BROKEN", `the payload of compensation ${jobId} is damaged`);
  const { payload, result, step, ...rest } = parsed.data;
  const { id, name, form } = step;
  return {
    ...rest,
    payload: await openPayload({ id, name, payload, payloadForm: form }, payloads),
    result: await openResult({ id, name, result }, payloads),
  };
}

/**
 * Another payload for a stored job, sealed the way the stored one is: encrypted stays encrypted (under the current key), and what is too
 * large for a row is offloaded. Write `payload` and `payloadForm` back together. The definition's schema and limit are the caller's to check.
 * @throws JobDataError `JOB_PAYLOAD_UNSERIALISABLE`; PayloadError.
 */
export async function sealPayload(
  stored: Omit<StoredPayload, "payload">,
  payload: unknown,
  payloads: Payloads,
  definition?: Pick<JobDefinition, "encrypt" | "offloadAboveBytes">,
): Promise<{ readonly payload: unknown; readonly payloadForm: string | undefined }> {
  const { name, payloadForm } = stored;
  const text = jsonText(`the payload of ${name}`, payload, "JOB_PAYLOAD_UNSERIALISABLE");
  const policy: SealPolicy = {
    encrypt: definition?.encrypt === true || payloadForm?.startsWith("a256gcm") === true,
    offloadAboveBytes: definition?.offloadAboveBytes ?? largestInlineBytes,
  };
  const { form, value } = await sealText(
    { jobId: payloadOwner(stored), name, column: "payload" },
    text,
    policy,
    payloads,
  );
  return { payload: value, payloadForm: form };
}

/** The same data in the same form, under the current key. */
export async function resealPayload(
  stored: StoredPayload & { readonly payloadForm: string },
  clear: unknown,
  payloads: Payloads,
): Promise<{ readonly payload: unknown; readonly payloadForm: string }> {
  const { name, payloadForm } = stored;
  const place: Place = { jobId: payloadOwner(stored), name, column: "payload" };
  const policy: SealPolicy = {
    encrypt: payloadForm.includes("a256gcm"),
    // what a compensation carries was measured with its step
    offloadAboveBytes: payloadForm.includes("object") ? -1 : largestInlineBytes,
  };
  const { form = payloadForm, value } = await sealText(place, JSON.stringify(clear), policy, payloads);
  return { payload: value, payloadForm: form };
}

/** What the ledger shall keep of a result. `text` is the result's JSON. */
export function sealResult(
  job: { readonly id: string; readonly name: string },
  { result, text }: { readonly result: unknown; readonly text: string },
  definition: SealPolicy,
  payloads: Payloads,
): unknown {
  if (staysPlain(definition, text)) return packResult({ form: undefined, value: result });
  const place: Place = { jobId: job.id, name: job.name, column: "result" };
  return sealText(place, text, definition, payloads).then((sealed: Sealed) => packResult(sealed));
}

/** The result that a handler returned, from what the ledger keeps of it. @throws PayloadError as `openText`. */
export async function openResult(
  job: { readonly id: string; readonly name: string; readonly result: unknown },
  payloads: Payloads,
): Promise<unknown> {
  const place: Place = { jobId: job.id, name: job.name, column: "result" };
  const { form, value } = unpackResult(`the result of job ${job.id}`, job.result);
  return form === undefined ? value : (JSON.parse(await openText(place, { form, value }, payloads)) as unknown);
}
