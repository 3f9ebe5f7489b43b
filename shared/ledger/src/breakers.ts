import type { SendableJob } from "./job.ts";
import type { Database } from "./postgres/database.ts";
import type { RunSql, TableName } from "./postgres/sql.ts";
import { sendable, sendLease } from "./release.ts";

/** What a process tells the others about a breaker of its own. */
export type BreakerReport =
  | {
      readonly name: string;
      readonly state: "open";
      /** When to try again, counted from now by the database's clock. */
      readonly retryAfterMs: number;
      /** Who says so; for people. */
      readonly reporter?: string;
    }
  | { readonly name: string; readonly state: "closed"; readonly reporter?: string };

export type BreakerState =
  | { readonly kind: "closed" }
  | { readonly kind: "open"; readonly openedAt: Date; readonly retryAt: Date }
  | { readonly kind: "half_open"; readonly openedAt: Date; readonly retryAt: Date };

export interface Breaker {
  readonly name: string;
  readonly state: BreakerState;
  /** Whether `probeBreaker` would let a job go: not closed, past `retryAt` by the database's clock, and holding jobs. */
  readonly probeDue: boolean;
  /** Whether jobs wait for it. */
  readonly holding: boolean;
}

export interface Breakers {
  readonly list: () => Promise<readonly Breaker[]>;
  report(report: BreakerReport): Promise<void>;
  probe(name: string): Promise<{ readonly released: readonly SendableJob[] }>;
  release(release: { readonly name: string; readonly limit: number }): Promise<readonly SendableJob[]>;
}

/** For how long a probe may be under way before another one is let go: it may have been lost with its worker. */
const probeLease = "interval '30 seconds'";

export function createBreakers(database: Database, table: TableName): Breakers {
  const sql = breakerSql(table);
  return {
    list: async () => {
      const rows = await database.run({ name: "warren_breakers", text: sql.list }, []);
      return rows.map((row) => ({
        name: String(row["name"]),
        state: stateOf(row),
        probeDue: row["probe_due"] === true,
        holding: row["holding"] === true,
      }));
    },
    report: async (report) => {
      if (report.state === "open") {
        await database.query(sql.open, [report.name, report.retryAfterMs, report.reporter ?? null]);
      } else {
        await database.query(sql.close, [report.name, report.reporter ?? null]);
      }
    },
    probe: (name) =>
      database.transaction(async (run) => {
        const { rows } = await run(sql.lockDue, [name]);
        if (rows.length === 0) return { released: [] };
        const released = await letGo(run, sql.letGo, { name, probe: true, limit: 1 });
        // Nothing held: it stays open, and the next job that comes for it is held and then let go as the probe.
        if (released.count > 0) await run(sql.halfOpen, [name]);
        return { released: released.sendable };
      }),
    release: ({ name, limit }) =>
      database.transaction(async (run) => {
        await run(sql.ensure, [name]);
        const { rows } = await run(sql.ramp, [name]);
        const window = rows[0]?.["released_now"];
        if (window === undefined) return [];
        const released = await letGo(run, sql.letGo, { name, probe: false, limit: Math.min(limit, Number(window)) });
        return released.sendable;
      }),
  };
}

function stateOf(row: Record<string, unknown>): BreakerState {
  const kind = row["state"];
  if (kind !== "open" && kind !== "half_open") return { kind: "closed" };
  return { kind, openedAt: row["opened_at"] as Date, retryAt: row["retry_at"] as Date };
}

async function letGo(
  run: RunSql,
  text: string,
  { name, probe, limit }: { readonly name: string; readonly probe: boolean; readonly limit: number },
): Promise<{ readonly count: number; readonly sendable: readonly SendableJob[] }> {
  const { rows } = await run(text, [name, limit, probe]);
  // those of governed queues wait for their release
  return { count: rows.length, sendable: rows.filter((row) => row["gate"] === 0).map(sendable) };
}

function breakerSql(table: TableName) {
  const jobs = table("jobs");
  const breakers = table("breakers");
  return {
    // The small table, and a hop from holder to holder, one index entry each. Index: jobs_held (held_by).
    list: `with recursive holders as (
        (select held_by from ${jobs} where held_by is not null order by held_by limit 1)
        union all
        select next.held_by from holders cross join lateral (
          select held_by from ${jobs} where held_by is not null and held_by > holders.held_by order by held_by limit 1
        ) next
      )
      select coalesce(b.name, h.held_by) as name, coalesce(b.state, 'closed') as state, b.opened_at, b.retry_at,
        h.held_by is not null as holding,
        coalesce(b.state <> 'closed' and b.retry_at <= clock_timestamp() and h.held_by is not null, false) as probe_due
      from ${breakers} b full join holders h on h.held_by = b.name
      order by 1`,

    // Locks one row. A second process that opens does not bring the next probe forward.
    open: `insert into ${breakers} as b (name, state, opened_at, retry_at, reporter)
      values ($1, 'open', clock_timestamp(), clock_timestamp() + $2::double precision * interval '1 millisecond', $3)
      on conflict (name) do update
      set state = 'open', reporter = excluded.reporter, updated_at = clock_timestamp(), release_window = 1,
        opened_at = case when b.state = 'closed' then excluded.opened_at else b.opened_at end,
        retry_at = case when b.state = 'open' then greatest(b.retry_at, excluded.retry_at) else excluded.retry_at end`,

    close: `insert into ${breakers} as b (name, state, reporter) values ($1, 'closed', $2)
      on conflict (name) do update
      set state = 'closed', opened_at = null, retry_at = null, reporter = excluded.reporter, updated_at = clock_timestamp(),
        release_window = case when b.state = 'closed' then b.release_window else 1 end`,

    // The row's lock makes exactly one of several dispatchers probe. Index: breakers (name).
    lockDue: `select name from ${breakers}
      where name = $1 and state <> 'closed' and retry_at <= clock_timestamp() for update`,

    halfOpen: `update ${breakers}
      set state = 'half_open', retry_at = clock_timestamp() + ${probeLease}, updated_at = clock_timestamp()
      where name = $1`,

    ensure: `insert into ${breakers} (name, state) values ($1, 'closed') on conflict (name) do nothing`,

    // Doubles the window and returns what it was; no row unless closed.
    ramp: `update ${breakers} set release_window = least(release_window * 2, 65536)
      where name = $1 and state = 'closed'
      returning case when release_window = 1 then 1 else release_window / 2 end as released_now`,

    // Oldest first; a row that a claim or a cancel has locked is skipped. Index: jobs_held (held_by, run_at), jobs (id).
    letGo: `with picked as (
        select id from ${jobs} where held_by = $1 order by run_at limit $2 for update skip locked
      )
      update ${jobs}
      set held_by = null, probe = $3::boolean, sent_at = null, send_after = clock_timestamp() + ${sendLease}
      where id = any (array(select id from picked))
      returning id, queue, name, attempt, gate`,
  } as const;
}
