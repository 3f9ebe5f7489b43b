import type { RecordedError } from "../job.ts";
import type { Database } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";

/** How a job stands for somebody who waits for its result. */
export type JobEnd =
  | { readonly id: string; readonly kind: "unfinished"; readonly state: string }
  /** `name` and `result` as the ledger keeps them: the result may be sealed. */
  | { readonly id: string; readonly kind: "succeeded"; readonly name: string; readonly result: unknown }
  /** It has succeeded, and its result was to be kept for a time that is over. */
  | { readonly id: string; readonly kind: "expired" }
  | {
      readonly id: string;
      readonly kind: "dead" | "cancelled";
      readonly reason: string | undefined;
      readonly by: string | undefined;
      readonly lastError: RecordedError | undefined;
    }
  | { readonly id: string; readonly kind: "missing" };

export interface ResultLedger {
  /** In the order of the ids. */
  ends(ids: readonly string[]): Promise<readonly JobEnd[]>;
  /** The result of this job, which is about to succeed, is kept for so long. In the caller's transaction with `run`. */
  expireIn(id: string, ttlMs: number, run?: RunSql): Promise<void>;
  /** Forgets results whose time is over. Answers how many it looked at. */
  sweep(sweep: { readonly limit: number }): Promise<number>;
}

export function createResultLedger(database: Database, table: TableName): ResultLedger {
  // One statement, one snapshot. Index: primary keys.
  const ends = {
    name: "warren_job_ends",
    text: `select id, state, name, null::jsonb as result, null as reason, null as cancelled_by, null::jsonb as last_error, false as expired
      from ${table("jobs")} where id = any ($1::uuid[])
      union all
      select h.id, h.state, h.name, h.result, h.reason, h.cancelled_by, h.errors -> -1,
        h.result_expired_at is not null or e.expires_at <= clock_timestamp()
      from ${table("jobs_history")} h left join ${table("result_expiries")} e on e.job_id = h.id
      where h.id = any ($1::uuid[])`,
  };
  // Index: result_expiries (job_id).
  const expireIn = `insert into ${table("result_expiries")} (job_id, expires_at)
    values ($1::uuid, clock_timestamp() + $2::double precision * interval '1 millisecond')
    on conflict (job_id) do update set expires_at = excluded.expires_at`;
  // Locks expiries, then history rows in id order; another dispatcher skips them. An expiry whose job has not succeeded (yet) is
  // dropped too: the attempt that wrote it is over, and the next writes its own. Index: result_expiries_due (expires_at).
  const sweep = {
    name: "warren_sweep_results",
    text: `with due as materialized (
        select job_id from ${table("result_expiries")} where expires_at <= clock_timestamp()
        order by expires_at limit $1 for update skip locked
      ),
      over as (
        delete from ${table("result_expiries")} where job_id = any (array(
          select job_id from due where not exists (select from ${table("jobs")} j where j.id = due.job_id)
        ))
      ),
      later as (
        update ${table("result_expiries")} set expires_at = clock_timestamp() + interval '1 minute'
        where job_id = any (array(
          select job_id from due where exists (select from ${table("jobs")} j where j.id = due.job_id)
        ))
      ),
      target as materialized (
        select id from ${table("jobs_history")}
        where id = any (array(select job_id from due)) and state = 'succeeded' order by id for update
      )
      update ${table("jobs_history")} set result = null, result_expired_at = clock_timestamp()
      where id = any (array(select id from target))
      returning 1`,
  };

  return {
    ends: async (ids) => {
      const rows = await database.run(ends, [`{${ids.join(",")}}`]);
      const found = new Map(rows.map((row) => [String(row["id"]), row]));
      return ids.map((id): JobEnd => {
        const row = found.get(id.toLowerCase());
        if (row === undefined) return { id, kind: "missing" };
        const state = String(row["state"]);
        if (state === "succeeded") {
          if (row["expired"] === true) return { id, kind: "expired" };
          return { id, kind: "succeeded", name: String(row["name"]), result: row["result"] ?? undefined };
        }
        if (state !== "dead" && state !== "cancelled") return { id, kind: "unfinished", state };
        const { reason, cancelled_by: by } = row;
        return {
          id,
          kind: state,
          reason: typeof reason === "string" ? reason : undefined,
          by: typeof by === "string" ? by : undefined,
          lastError: (row["last_error"] as RecordedError | null) ?? undefined,
        };
      });
    },
    expireIn: async (id, ttlMs, run = database.query) => {
      await run(expireIn, [id, ttlMs]);
    },
    sweep: async ({ limit }) => (await database.run(sweep, [limit])).length,
  };
}
