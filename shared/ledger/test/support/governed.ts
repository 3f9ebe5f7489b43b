import type { ClaimedJob, Ledger, NewJob, QueuePolicy, Round } from "@warren/ledger";
import { newId } from "@warren/ledger";
import { aJob, type LedgerWorld } from "./ledger-world.ts";

/** A governed queue in the hands of a test: it releases, claims and finishes by hand. */
export interface Governed {
  readonly queue: string;
  readonly ledger: Ledger;
  readonly worker: string;
  readonly enqueue: (count: number, more?: Partial<NewJob>) => Promise<readonly string[]>;
  /** One round of a dispatcher. */
  readonly release: (limit?: number) => Promise<Round>;
  /** The ids that one round releases, in order. */
  readonly releaseIds: (limit?: number) => Promise<readonly string[]>;
  readonly claim: (ids: readonly string[]) => Promise<readonly ClaimedJob[]>;
  readonly succeed: (jobs: readonly ClaimedJob[]) => Promise<void>;
  /** Releases, claims and finishes, until a round releases nothing; answers the ids in the order of release. */
  readonly drain: (limit?: number) => Promise<readonly string[]>;
  readonly gates: () => Promise<Readonly<Record<string, number>>>;
}

/** Sets a policy and lets its settling time be over. `places` is what a living worker of the queue can run at once. */
export async function govern(
  world: LedgerWorld,
  policy: QueuePolicy,
  { places = 1_000, queue = `q${newId().slice(-8)}` }: { readonly places?: number; readonly queue?: string } = {},
): Promise<Governed> {
  const { ledger } = world;
  const worker = newId();
  await ledger.registerWorker({ id: worker, host: "t", pid: 1, version: "0", queues: [queue], concurrency: places });
  await ledger.limits.change(queue, policy);
  await settle(ledger);

  const release = (limit = 1_000): Promise<Round> => ledger.limits.release({ queue, limit });
  const releaseIds = async (limit?: number): Promise<readonly string[]> =>
    (await release(limit)).jobs.map(({ id }) => id);
  const claim = (ids: readonly string[]) => ledger.claim({ workerId: worker, ids });
  const succeed = async (jobs: readonly ClaimedJob[]): Promise<void> => {
    await Promise.all(
      jobs.map(({ id, attempt }) =>
        ledger.settle({ id, attempt, workerId: worker, outcome: { kind: "succeeded", result: null } }),
      ),
    );
  };
  return {
    queue,
    ledger,
    worker,
    release,
    releaseIds,
    claim,
    succeed,
    async enqueue(count, more = {}) {
      const results = await ledger.enqueue(Array.from({ length: count }, () => aJob({ queue, ...more })));
      return results.map(({ id }) => id);
    },
    async drain(limit) {
      const order: string[] = [];
      for (;;) {
        const ids = await releaseIds(limit);
        if (ids.length === 0) return order;
        order.push(...ids);
        await succeed(await claim(ids));
      }
    },
    async gates() {
      const { rows } = await ledger.query(`select id, gate from ${ledger.table("jobs")} where queue = $1`, [queue]);
      return Object.fromEntries(rows.map((row) => [String(row["id"]), Number(row["gate"])]));
    },
  };
}

/** Lets the time pass in which a new policy still counts what ran before it. */
export async function settle(ledger: Ledger): Promise<void> {
  await ledger.query(
    `update ${ledger.table("queue_policies")} set governed_at = governed_at - interval '1 minute'`,
    [],
  );
}
