import { gateOfReady, onItsWay } from "./gate.ts";
import type { SendableJob } from "./job.ts";
import type { Ledger } from "./ledger.ts";
import { plainArray } from "./postgres/arrays.ts";
import type { Database, Row } from "./postgres/database.ts";
import { byIdOnly, type TableName } from "./postgres/sql.ts";

/** For how long a job that a process took for publishing is left to it. */
export const sendLease = "interval '10 seconds'";

export interface SentJob {
  readonly id: string;
  /** The job's attempt when it was published: 0 for a fresh one, else as the take returned it. */
  readonly attempt: number;
}

export type Release = Pick<
  Ledger,
  "takeDue" | "takeUnsent" | "takeLost" | "confirmSent" | "queues" | "readyQueues" | "oldestReady"
>;

export function sendable(row: Row): SendableJob {
  return {
    id: String(row["id"]),
    queue: String(row["queue"]),
    name: String(row["name"]),
    attempt: Number(row["attempt"]),
  };
}

export function createRelease(database: Database, table: TableName): Release {
  const statements = releaseStatements(table);
  return {
    takeDue: async ({ limit }) => {
      for (;;) {
        const due = await database.run(statements.due, [limit]);
        const direct = due.filter((row) => row["gate"] === 0);
        // a whole round of governed jobs, which now wait for their release: look on
        if (direct.length > 0 || due.length < limit) return direct.map(sendable);
      }
    },
    takeUnsent: async ({ limit }) => (await database.run(statements.unsent, [limit])).map(sendable),
    takeLost: async ({ queue, sentForMs, limit }) =>
      (await database.run(statements.lost, [queue, sentForMs, limit])).map(sendable),
    confirmSent: async (sent) => {
      let waiting = 0;
      for (const [attempt, jobs] of Map.groupBy(sent, (job) => job.attempt)) {
        const rows = await database.run(statements.confirm, [plainArray(jobs.map(({ id }) => id)), attempt]);
        waiting += rows.length;
      }
      return { waiting };
    },
    queues: async () => (await database.run(statements.queues, [])).map((row) => String(row["queue"])),
    readyQueues: async () => (await database.run(statements.ready, [])).map((row) => String(row["queue"])),
    oldestReady: async () =>
      (await database.run(statements.oldest, [])).map((row) => ({
        queue: String(row["queue"]),
        ageMs: Math.max(0, Number(row["age_ms"])),
      })),
  };
}

function releaseStatements(table: TableName) {
  const jobs = table("jobs");
  const sentBefore = "statement_timestamp() - $2::double precision * interval '1 millisecond'";
  // In the order in which they were due; at the same time, in that of their ids.
  const take = (picked: string, change = "", before = ""): string => `with ${before} picked as (${picked}),
    taken as (
      update ${jobs} j
      set sent_at = null, send_after = clock_timestamp() + ${sendLease}${change}
      where j.id = any (array(select id from picked))
      returning j.id, j.queue, j.name, j.attempt, j.run_at, j.gate
    )
    select id, queue, name, attempt, gate from taken order by run_at, id`;

  // Hops from queue to queue, one index entry each, instead of reading the backlog.
  const oldest = `oldest as (
      (select queue, run_at from ${jobs} where state = 'ready' and held_by is null and gate = 0 order by queue, run_at limit 1)
      union all
      select next.queue, next.run_at from oldest cross join lateral (
        select queue, run_at from ${jobs}
        where state = 'ready' and held_by is null and gate = 0 and queue > oldest.queue order by queue, run_at limit 1
      ) next
    )`;

  return {
    // Several dispatchers share the work: locked rows are another's. Index: jobs_due (run_at, id).
    due: {
      name: "warren_take_due",
      text: take(
        `select id from ${jobs}
        where state in ('scheduled', 'retrying') and run_at <= statement_timestamp()
        order by run_at, id limit $1 for update skip locked`,
        `, state = 'ready', gate = ${gateOfReady(table, "j.queue", "j.gate")}`,
      ),
    },
    // Index: jobs_unsent (send_after).
    unsent: {
      name: "warren_take_unsent",
      text: take(`select id from ${jobs}
        where state = 'ready' and held_by is null and sent_at is null and gate = 0 and send_after <= statement_timestamp()
        order by send_after limit $1 for update skip locked`),
    },
    // Those that have been due the longest were sent the longest ago. Index: jobs_ready (queue, run_at), jobs_released (queue).
    lost: {
      name: "warren_take_lost",
      text: take(
        `select id from direct union all select id from released`,
        "",
        `direct as (
          select id from ${jobs}
          where state = 'ready' and held_by is null and gate = 0 and queue = $1 and sent_at <= ${sentBefore}
          order by run_at limit $3 for update skip locked
        ),
        released as (
          select id from ${jobs} where queue = $1 and gate = 2 and state = 'ready' and sent_at <= ${sentBefore}
          limit $3 for update skip locked
        ),`,
      ),
    },
    // Locks in id order: an index scan takes the elements of an array in their order. Fenced by the attempt: a job that was claimed and
    // came back meanwhile needs a message of its own. Index: jobs (id).
    confirm: {
      name: "warren_confirm_sent",
      text: `update ${jobs} j set sent_at = clock_timestamp()
        where j.id = any ($1::uuid[]) and j.attempt = $2
          and ${byIdOnly("j.state")} = 'ready' and j.held_by is null and j.sent_at is null and ${onItsWay("j.")}
        returning j.id`,
    },
    // Index: jobs_ready (queue, run_at).
    oldest: {
      name: "warren_oldest_ready",
      text: `with recursive ${oldest} select queue, extract(epoch from clock_timestamp() - run_at) * 1000 as age_ms from oldest`,
    },
    // The same hops, and those over released jobs. Index: jobs_ready, jobs_released.
    ready: {
      name: "warren_ready_queues",
      text: `with recursive ${oldest}, released as (
          (select queue from ${jobs} where gate = 2 order by queue limit 1)
          union all
          select next.queue from released cross join lateral (
            select queue from ${jobs} where gate = 2 and queue > released.queue order by queue limit 1
          ) next
        )
        select queue from oldest union select queue from released order by queue`,
    },
    // The small table of workers, and the same hops.
    queues: {
      name: "warren_queues",
      text: `with recursive ${oldest}
        select queue from oldest
        union
        select unnest(queues) from ${table("workers")} where ended_at is null
        order by queue`,
    },
  } as const;
}
