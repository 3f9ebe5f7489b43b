import { gateOfReady } from "../gate.ts";
import type { TableName } from "../postgres/sql.ts";
import { insertJobs, type JobRow, jobInput, jobRowJson } from "./job-insert.ts";

/** Rows as the JSON array that `jobInput` reads. */
export const rowsJson = (rows: readonly JobRow[]): string => `[${rows.map(jobRowJson).join(",")}]`;

const keyInput = `json_to_recordset($1::text::json) as i(id uuid, name text, key text, until text, for_ms double precision)`;
const expiry = `case when i.until = 'expired' then clock_timestamp() + i.for_ms * interval '1 millisecond' end`;
const jobIds = `any (array(select value::uuid from json_array_elements_text($1::text::json) value))`;

/** Run in this order in one transaction; each sees what the ones before it did. `$1` is one JSON text, for any driver. */
export function uniqueStatements(table: TableName) {
  const keys = table("unique_keys");
  const jobs = table("jobs");
  return {
    // Locks expired keys in key order. Index: unique_keys (name, key).
    forgetExpired: `with expired as (
        select k.name, k.key from ${keyInput} join ${keys} k on k.name = i.name and k.key = i.key
        where k.expires_at <= clock_timestamp() order by k.name, k.key for update of k
      )
      delete from ${keys} k using expired e where k.name = e.name and k.key = e.key and k.expires_at <= clock_timestamp()`,

    // A key's insert waits for whoever inserts or lets go of the same key, so exactly one wins. The input is in key order.
    // Index: unique_keys (name, key).
    win: `insert into ${keys} (name, key, job_id, until, expires_at)
      select i.name, i.key, i.id, i.until, ${expiry} from ${keyInput}
      on conflict (name, key) do nothing returning job_id`,

    // Locks the holding jobs in id order, then their keys. Rows that came between (the key passed on) are left out by the second look.
    // Index: unique_keys (name, key), jobs (id), jobs_history (id).
    holders: `with holding as materialized (
        select i.id as asked, k.name, k.key, k.job_id from ${keyInput} join ${keys} k on k.name = i.name and k.key = i.key
      ),
      locked as materialized (
        select j.id, j.state, j.claimed_at is not null as started from ${jobs} j
        where j.id = any (array(select job_id from holding)) order by j.id for update
      ),
      same as materialized (
        select h.asked, k.job_id, k.until from holding h cross join lateral (
          select k.job_id, k.until from ${keys} k
          where k.name = h.name and k.key = h.key and k.job_id = h.job_id and (select count(*) from locked) >= 0
          for update
        ) k
      )
      select s.asked, s.job_id, s.until, coalesce(l.state, f.state) as state, coalesce(l.started, f.state is not null) as started
      from same s
      left join locked l on l.id = s.job_id
      left join ${table("jobs_history")} f on f.id = s.job_id`,

    finished: `select id, state from ${table("jobs_history")} where id = ${jobIds}`,

    insert: `${insertJobs(table, { rare: true })} from ${jobInput(1)} returning id, state, gate`,

    takeOver: `update ${keys} k set job_id = i.id, until = i.until, expires_at = ${expiry}, successor = null,
        created_at = clock_timestamp()
      from ${keyInput} where k.name = i.name and k.key = i.key`,

    // The holders are locked. What the newer job says wins; with `restart` its time does as well, and a message that is under way
    // finds the job not ready.
    replace: `with input as materialized (
        select holder, restart, r.* from json_to_recordset($1::text::json) as c(holder uuid, restart boolean, "row" json)
        cross join lateral ${jobRecord('c."row"')}
      ),
      timed as (
        select i.*, coalesce(i.run_at, clock_timestamp() + i.delay_ms * interval '1 millisecond', clock_timestamp()) as starts_at
        from input i
      )
      update ${jobs} j
      set payload = coalesce(i.payload, 'null'), payload_form = i.payload_form, attributes = i.attributes, version = i.version,
        priority = coalesce(i.priority, 0), max_attempts = i.max_attempts, correlation_id = i.correlation_id, trace = i.trace,
        run_at = case when i.restart then i.starts_at else j.run_at end,
        sent_at = case when i.restart then null else j.sent_at end,
        send_after = case when i.restart then clock_timestamp() else j.send_after end,
        state = case
          when not i.restart or j.state = 'blocked' then j.state
          when i.starts_at > clock_timestamp() then 'scheduled'
          else 'ready'
        end,
        gate = case when i.restart then ${gateOfReady(table, "j.queue", "j.gate")} else j.gate end
      from timed i
      where j.id = i.holder
      returning j.id, j.state`,

    extend: `update ${keys} k set expires_at = ${expiry} from ${keyInput}
      where k.name = i.name and k.key = i.key and k.until = 'expired'`,

    keep: `update ${keys} k set successor = c."row"
      from json_to_recordset($1::text::json) as c(holder uuid, "row" jsonb) where k.job_id = c.holder`,

    release: `delete from ${keys} where name = $1 and key = $2 returning job_id`,

    // The jobs that finish are locked by their settlement. Index: unique_keys_job (job_id).
    succeed: `with owed as materialized (
        select k.name, k.key, (k.successor ->> 'id')::uuid as next, k.successor from ${keys} k
        where k.job_id = ${jobIds} and k.successor is not null order by k.name, k.key for update
      ),
      made as (
        ${insertJobs(table, { rare: true })}
        from owed cross join lateral ${jobRecord("owed.successor")}
      )
      update ${keys} k set job_id = o.next, successor = null, created_at = clock_timestamp()
      from owed o where k.name = o.name and k.key = o.key`,

    letGo: `delete from ${keys} where job_id = ${jobIds} and expires_at is null`,
  } as const;
}

/** One row of `jobInput` out of a JSON value, as `r`. */
function jobRecord(value: string): string {
  return jobInput(1).replace("json_to_recordset($1::text::json)", `json_to_record((${value})::text::json)`);
}
