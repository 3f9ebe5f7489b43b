import type { Database } from "../postgres/database.ts";
import type { TableName } from "../postgres/sql.ts";

/** What somebody wants to hear of: one job, one queue, or with neither everything. */
export interface Watch {
  readonly queue?: string;
  readonly jobId?: string;
}

export interface WatchLedger {
  /** Registers or renews a watch; without renewal it ends by itself. */
  keep(id: string, watch: Watch, ttlMs: number): Promise<void>;
  close(id: string): Promise<void>;
  /** Forgets watches whose watchers are gone. */
  sweep(): Promise<void>;
}

/** More watches than this, and workers tell of everything. */
const mostWatches = 200;

/** The watches of the moment as one JSON value, null without any: for the statement of a heartbeat. Reads a table that is empty nearly always. */
export const watchesSql = (table: TableName): string => `(
    select case when count(*) > ${mostWatches} then '[{}]' else
      jsonb_agg(jsonb_strip_nulls(jsonb_build_object('queue', w.queue, 'jobId', w.job_id))) end
    from (select queue, job_id from ${table("job_watches")} where expires_at > clock_timestamp() limit ${mostWatches + 1}) w
  )`;

export function createWatchLedger(database: Database, table: TableName): WatchLedger {
  const watches = table("job_watches");
  return {
    keep: async (id, { queue, jobId }, ttlMs) => {
      await database.query(
        `insert into ${watches} (id, queue, job_id, expires_at)
         values ($1, $2, $3, clock_timestamp() + $4::double precision * interval '1 millisecond')
         on conflict (id) do update set expires_at = excluded.expires_at`,
        [id, queue ?? null, jobId ?? null, ttlMs],
      );
    },
    close: async (id) => {
      await database.query(`delete from ${watches} where id = $1`, [id]);
    },
    sweep: async () => {
      await database.query(`delete from ${watches} where expires_at <= clock_timestamp()`, []);
    },
  };
}
