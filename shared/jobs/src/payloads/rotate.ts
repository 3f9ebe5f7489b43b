import { WarrenError } from "@warren/contracts";
import type { PayloadRecords, Resealed, SealedJob } from "@warren/ledger";
import type { KeyRing } from "./key-ring.ts";
import { openPayload, resealPayload } from "./payload.ts";
import type { Payloads } from "./seal.ts";

export interface RotateOptions {
  readonly ledger: { readonly payloads: Pick<PayloadRecords, "sealed" | "reseal"> };
  readonly payloads: Payloads & { readonly keyRing: KeyRing };
  /** Jobs a batch. Default 200. */
  readonly batchSize?: number;
  /** Stops between batches when it aborts. */
  readonly signal?: AbortSignal;
}

export interface Rotated {
  /** Encrypted anew under the current key. */
  readonly rotated: number;
  /** Were under it already. */
  readonly current: number;
  /** Changed or locked while at it: run it again. */
  readonly busy: number;
  readonly failed: readonly { readonly id: string; readonly code: string }[];
}

/**
 * Encrypts the payloads of all unfinished jobs under the current key, batch by batch, without stopping anybody. What it wrote stays when
 * it ends early, and it may be run again at any time. Finished jobs keep their key until history is dropped.
 * @throws LedgerError; PayloadError `PAYLOAD_STORE_…` of the new objects. Payloads that do not open are in `failed`.
 */
export async function rotatePayloads(options: RotateOptions): Promise<Rotated> {
  const { ledger, payloads, batchSize = 200, signal } = options;
  const failed: { id: string; code: string }[] = [];
  let [rotated, current, busy] = [0, 0, 0];
  let after: string | undefined;
  for (;;) {
    const page = signal?.aborted === true ? [] : await ledger.payloads.sealed({ after, limit: batchSize });
    if (page.length === 0) return { rotated, current, busy, failed };
    after = page.at(-1)?.id;
    const changes: Resealed[] = [];
    for (const job of page) {
      if (!isEncrypted(job)) continue;
      if (keyOf(job) === payloads.keyRing.current) {
        current += 1;
        continue;
      }
      try {
        const sealed = await resealPayload(job, await openPayload(job, payloads), payloads);
        changes.push({ id: job.id, before: job.payload, ...sealed });
      } catch (error) {
        if (!(error instanceof WarrenError) || error.retryable) throw error;
        failed.push({ id: job.id, code: error.code });
      }
    }
    const done = await ledger.payloads.reseal(changes);
    rotated += done.length;
    busy += changes.length - done.length;
  }
}

function isEncrypted({ payloadForm }: SealedJob): boolean {
  return payloadForm.startsWith("a256gcm");
}

function keyOf({ payload }: SealedJob): unknown {
  return typeof payload === "object" && payload !== null && "kid" in payload ? payload.kid : undefined;
}
