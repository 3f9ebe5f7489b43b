import type { TableName } from "../postgres/sql.ts";

/** Deletes flows by id, `$1::uuid[]`, with all that hangs on them but jobs. Index: flow_nodes_name (flow_id), primary keys. */
export const forgetSql = (table: TableName): string => forget(table, "any ($1::uuid[])");

/**
 * Deletes at most `$2` flows that ended more than `$1` days ago; rows deleted. Nobody else writes to them, so no order of locks is
 * needed. Index: flows_finished.
 */
export const forgetOldSql = (table: TableName): string =>
  forget(
    table,
    `any (array(
      select id from ${table("flows")} where finished_at < clock_timestamp() - make_interval(days => $1)
      order by finished_at limit $2
    ))`,
  );

const forget = (table: TableName, ids: string): string => `with gone as (
    delete from ${table("flows")} where id = ${ids} returning id
  ),
  nodes as (
    delete from ${table("flow_nodes")} where flow_id = any (array(select id from gone)) returning job_id
  ),
  edges as (
    delete from ${table("flow_edges")} where child_id = any (array(select job_id from nodes))
  ),
  undos as (
    delete from ${table("flow_undos")} where flow_id = any (array(select id from gone))
  ),
  signals as (
    delete from ${table("flow_signals")} where flow_id = any (array(select id from gone))
  )
  select id from gone`;
