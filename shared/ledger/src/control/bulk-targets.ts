import type { FinishedState, JobState } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import type { BulkAction, BulkOperation, NewBulk } from "./bulk-operation.ts";
import { filterJson, filterSql, type JobFilter } from "./job-filter.ts";

const jobsPerRead = 20_000;
const endOfTime = "00000000-0000-0000-0000-000000000000";
const unfinishedStates = ["blocked", "scheduled", "ready", "running", "retrying"] as const;
const failedStates = ["dead", "cancelled"] as const;

/** Which states an action looks at: of those it can change, those that the filter names; a retry without states means the dead. */
function statesOf(action: BulkAction, { states }: JobFilter): readonly JobState[] {
  if (action === "retry") return retriedStates(states);
  const all: readonly JobState[] = action === "cancel" ? unfinishedStates : failedStates;
  return states === undefined ? all : all.filter((state) => states.includes(state));
}

/** The same for a retry. `states`: of a filter, as operations keep it. */
export const retriedStates = (states: unknown): readonly FinishedState[] =>
  failedStates.filter((state) => (Array.isArray(states) ? states.includes(state) : state === "dead"));

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

/**
 * Takes the next targets of an operation off its list, in the order of their ids. The caller holds the operation's row. A retry takes
 * those of one flow together, however many they are: a flow that is retried by halves would fail again for the other half. And it takes
 * one flow at a time, since that stays locked until the batch has committed. Index: primary keys, flow_nodes_name and flow_undos_order
 * (flow_id).
 */
export async function takeTargets(
  run: RunSql,
  table: TableName,
  { id, action }: Pick<BulkOperation, "id" | "action">,
  most: number,
): Promise<string[]> {
  const targets = table("bulk_targets");
  const next = `select job_id from ${targets} where operation_id = $1 order by job_id limit $2`;
  const { rows } = await run(
    action === "retry"
      ? `with next as materialized (
           select t.job_id, coalesce(n.flow_id, u.flow_id) as flow_id from (${next}) t
           left join ${table("flow_nodes")} n on n.job_id = t.job_id
           left join ${table("flow_undos")} u on u.job_id = t.job_id
         ),
         own as materialized (
           select flow_id as id from next where flow_id is not null order by job_id limit 1
         )
         delete from ${targets} where operation_id = $1 and job_id = any (array(
           select job_id from next where flow_id is null
           union all
           select n.job_id from own join ${table("flow_nodes")} n on n.flow_id = own.id
           union all
           select u.job_id from own join ${table("flow_undos")} u on u.flow_id = own.id
         )) returning job_id`
      : `delete from ${targets} where operation_id = $1 and job_id = any (array(${next})) returning job_id`,
    [id, most],
  );
  return rows.map((target) => String(target["job_id"])).sort();
}
