import { hostname } from "node:os";
import type { Ledger } from "@warren/ledger";
import type { Logger } from "@warren/observability";

export interface CondemnOptions {
  readonly ledger: Pick<Ledger, "claim" | "query" | "registerWorker" | "retireWorker" | "settle" | "table">;
  readonly log: Logger;
  readonly newId: () => string;
  readonly version: string;
  /** So many messages of a job must have hit the broker's delivery limit before the job is dead. Default 3. */
  readonly limit?: number;
}

/** Ends jobs whose messages hit the delivery limit again and again before anybody claimed them. Answers which are dead now. */
export type Condemn = (jobIds: readonly string[]) => Promise<readonly string[]>;

const defaultLimit = 3;

export function createCondemn({ ledger, log, newId, version, limit = defaultLimit }: CondemnOptions): Condemn {
  // Few rows: only dead letters of these jobs. Locks nothing.
  const hopeless = `select id from unnest($1::uuid[]) as job(id)
    where (
      select count(*) from ${ledger.table("dead_letters")} d
      where d.job_ids @> array[job.id] and d.reason = 'delivery_limit'
    ) >= $2`;

  return async (jobIds) => {
    const { rows } = await ledger.query(hopeless, [jobIds, limit]);
    if (rows.length === 0) return [];
    // claimed like by any worker, so that there is one way to die and one fence; what a worker got meanwhile is left to it
    const workerId = newId();
    await ledger.registerWorker({
      id: workerId,
      host: hostname(),
      pid: process.pid,
      version,
      queues: [],
      concurrency: 0,
    });
    try {
      const claimed = await ledger.claim({ workerId, ids: rows.map((row) => String(row["id"])) });
      const error = {
        code: "JOB_UNDELIVERABLE",
        message: `${limit} messages of this job hit the delivery limit before a worker claimed it`,
      };
      const outcome = { kind: "dead", reason: "JOB_UNDELIVERABLE", error } as const;
      await Promise.all(claimed.map(({ id, attempt }) => ledger.settle({ id, attempt, workerId, outcome })));
      const dead = claimed.map(({ id }) => id);
      if (dead.length > 0) log.error({ jobs: dead, reason: "JOB_UNDELIVERABLE" }, "jobs are dead: never deliverable");
      return dead;
    } finally {
      await ledger.retireWorker(workerId);
    }
  };
}
