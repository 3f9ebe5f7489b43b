import { LedgerDataError } from "./errors.ts";
import { jobRecord, recordColumns } from "./find.ts";
import type { JobRecord, JobState } from "./job.ts";
import type { Database } from "./postgres/database.ts";
import type { TableName } from "./postgres/sql.ts";

/** Which jobs to find: all that is given must hold. */
export interface JobQuery {
  /** Searchable fields and their exact values, at least one. */
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** Name of the job definition. */
  readonly name?: string;
  readonly state?: JobState;
  /** 1 to 200, default 50. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly cursor?: string;
}

export interface JobPage {
  /** Newest first. */
  readonly jobs: readonly JobRecord[];
  /** The cursor of the next page; `undefined` at the end. */
  readonly next: string | undefined;
}

const mostJobs = 200;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function createFindJobs(database: Database, table: TableName): (query: JobQuery) => Promise<JobPage> {
  const part = (source: string, columns: string): string => `(
    select ${recordColumns}, ${columns} from ${table(source)} j
    where j.attributes @> $1::text::jsonb and j.attributes is not null
      and ($2::text is null or j.name = $2) and ($3::text is null or j.state = $3) and ($4::uuid is null or j.id < $4::uuid)
    order by j.id desc limit $5
  )`;
  // One statement, one snapshot over both tables. Index: jobs_attributes, jobs_history_attributes (of each partition). Locks nothing.
  const find = `${part("jobs", "held_by, null as reason, null::jsonb as result, null::timestamptz as finished_at")}
    union all
    ${part("jobs_history", "null, reason, result, finished_at")}
    order by id desc limit $5`;

  return async ({ attributes, name, state, limit = 50, cursor }) => {
    if (Object.keys(attributes).length === 0) throw new LedgerDataError("findJobs: give at least one attribute");
    if (!Number.isInteger(limit) || limit < 1 || limit > mostJobs) {
      throw new LedgerDataError(`findJobs: "limit" is 1 to ${mostJobs}, got ${limit}`);
    }
    if (cursor !== undefined && !uuid.test(cursor)) throw new LedgerDataError(`findJobs: "cursor" is not one of ours`);
    const rows = await database.transaction(async (run) => {
      // these indexes can be read no other way
      await run("set local enable_bitmapscan = on", []);
      const found = await run(find, [
        JSON.stringify(attributes),
        name ?? null,
        state ?? null,
        cursor ?? null,
        limit + 1,
      ]);
      return found.rows;
    });
    const jobs = rows.slice(0, limit).map(jobRecord);
    return { jobs, next: rows.length > limit ? jobs.at(-1)?.id : undefined };
  };
}
