import type { JobState } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import type { BulkAction, NewBulk } from "./bulk-operation.ts";
import { filterJson, filterSql, type JobFilter } from "./job-filter.ts";

const jobsPerRead = 20_000;
const endOfTime = "00000000-0000-0000-0000-000000000000";
const unfinishedStates = ["blocked", "scheduled", "ready", "running", "retrying"] as const;
const failedStates = ["dead", "cancelled"] as const;

/** Which states an action looks at: of those it can change, those that the filter names; a retry without states means the dead. */
function statesOf(action: BulkAction, filter: JobFilter): readonly JobState[] {
  const all: readonly JobState[] = action === "cancel" ? unfinishedStates : failedStates;
  const { states } = filter;
  if (states !== undefined) return all.filter((state) => states.includes(state));
  return action === "retry" ? ["dead"] : all;
}

/** Counts the jobs that match, in several statements of one snapshot; `into`: writes them down as targets of that operation. */
export async function readMatching(
  run: RunSql,
  table: TableName,
  { action, filter, limit = Number.POSITIVE_INFINITY }: Pick<NewBulk, "action" | "filter" | "limit">,
  into?: string,
): Promise<number> {
  const json = filterJson(filter);
  let matched = 0;
  for (const state of statesOf(action, filter)) {
    for (let cursor = endOfTime; matched < limit; ) {
      const asked = Math.min(jobsPerRead, limit - matched);
      const own = into === undefined ? [] : [into];
      const { rows } = await run(matchSql(table, action, into !== undefined), [json, state, cursor, asked, ...own]);
      const count = Number(rows[0]?.["count"] ?? 0);
      matched += count;
      if (count < asked) break;
      cursor = String(rows[0]?.["last"]);
    }
  }
  return matched;
}

/** Jobs in one state that match, after a cursor; `takes`: writes them down for the operation `$5`. Index: jobs_history_failed, jobs (id). */
function matchSql(table: TableName, action: BulkAction, takes: boolean): string {
  const source = action === "cancel" ? "jobs" : "jobs_history";
  const discarded = {
    cancel: "",
    retry: "and j.discarded_at is null",
    discard: "and j.discarded_at is null",
    restore: "and j.discarded_at is not null",
  };
  const notSucceeded = source === "jobs" ? "" : "and j.state <> 'succeeded'";
  return `with found as materialized (
      select j.id from ${table(source)} j
      where j.state = $2::text ${notSucceeded} and j.id > $3::uuid ${discarded[action]}
      and ${filterSql(1, source)}
      order by j.id limit $4
    )${
      takes
        ? `,
    taken as (
      insert into ${table("bulk_targets")} (operation_id, job_id) select $5::uuid, id from found
    )`
        : ""
    }
    select count(*) as count, (select id from found order by id desc limit 1) as last from found`;
}

/** Takes the next targets of an operation off its list, in the order of their ids. The caller holds the operation's row. */
export async function takeTargets(run: RunSql, table: TableName, operationId: string, most: number): Promise<string[]> {
  const { rows } = await run(
    `delete from ${table("bulk_targets")} where operation_id = $1 and job_id = any (array(
       select job_id from ${table("bulk_targets")} where operation_id = $1 order by job_id limit $2
     )) returning job_id`,
    [operationId, most],
  );
  return rows.map((target) => String(target["job_id"])).sort();
}
