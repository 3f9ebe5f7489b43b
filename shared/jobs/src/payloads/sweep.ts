import type { PayloadRecords } from "@warren/ledger";
import { PayloadError } from "./errors.ts";
import { ownerOf, type PayloadStore } from "./store.ts";

export interface SweepOptions {
  readonly store: PayloadStore;
  readonly ledger: { readonly payloads: Pick<PayloadRecords, "takeSweep" | "endSweep" | "referenced"> };
  /** Objects younger than this are left alone, since their row may not be committed yet. Default 24 h, at least 1 h. */
  readonly graceMs?: number;
  /** How long after a full sweep the next one begins. Default 1 h. */
  readonly everyMs?: number;
  /** Objects looked at in one turn. Default 1,000. */
  readonly pageSize?: number;
  /** Default `Date.now`; compared with the store's own times. */
  readonly now?: () => number;
}

export interface Swept {
  readonly looked: number;
  readonly deleted: number;
  /** There is more to look at now. */
  readonly more: boolean;
}

const hourMs = 3_600_000;
const markKey = "owner";
const markBytes = 36;
const nothing: Swept = { looked: 0, deleted: 0, more: false };

/**
 * One turn of garbage collection: deletes objects that no job refers to and that are older than the grace period. Any number of processes
 * may call it; one at a time has the turn. The first turn on a store only leaves this ledger's mark in it.
 * @throws PayloadError `PAYLOAD_STORE_FOREIGN` when the store bears another ledger's mark, `PAYLOAD_STORE_…`; LedgerError.
 */
export async function sweepPayloads(options: SweepOptions): Promise<Swept> {
  const { store, ledger, pageSize = 1_000, everyMs = hourMs, now = Date.now } = options;
  const graceMs = Math.max(hourMs, options.graceMs ?? 24 * hourMs);
  const turn = await ledger.payloads.takeSweep({ store: store.name, everyMs });
  if (turn === undefined) return nothing;
  let position = turn.position;
  let finished = false;
  try {
    if (!(await isMarked(store, turn.owner))) return { ...nothing, more: true };
    const page = await store.list({ after: position, limit: pageSize });
    const old = page.objects.filter(({ modifiedAt }) => now() - modifiedAt.getTime() > graceMs);
    const ours = old.flatMap(({ key }) => {
      const owner = ownerOf(key);
      return owner === undefined ? [] : [{ key, jobId: owner.jobId }];
    });
    const referenced = await ledger.payloads.referenced(ours);
    const orphans = ours.filter(({ key }) => !referenced.has(key));
    for (const { key } of orphans) await store.delete(key);
    position = page.next;
    finished = position === undefined;
    return { looked: page.objects.length, deleted: orphans.length, more: position !== undefined };
  } finally {
    await ledger.payloads.endSweep({ store: store.name, position, finished });
  }
}

/** Two ledgers that share a folder would delete each other's objects. The mark is read again in a later turn, so of two first ones one wins. */
async function isMarked(store: PayloadStore, owner: string): Promise<boolean> {
  let mark: string;
  try {
    mark = Buffer.from(await store.get(markKey, markBytes)).toString("utf8");
  } catch (error) {
    if (!(error instanceof PayloadError) || error.code !== "PAYLOAD_OBJECT_MISSING") throw error;
    await store.put(markKey, Buffer.from(owner));
    return false;
  }
  if (mark === owner) return true;
  throw new PayloadError(
    "PAYLOAD_STORE_FOREIGN",
    `payload store ${store.name} belongs to ledger ${mark}, not to ${owner}`,
    {
      details: { owner: mark },
    },
  );
}
