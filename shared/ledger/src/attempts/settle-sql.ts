import { finishedColumns } from "../follow-ups.ts";
import { gateOfReturned } from "../gate.ts";
import { appendErrorSql, archiveSql } from "../history.ts";
import { plainArray, textArray } from "../postgres/arrays.ts";
import { byIdOnly, type Statement, type TableName } from "../postgres/sql.ts";

/** A settlement as the statements take it, with result and error as JSON text. */
export interface SettlementRow {
  readonly id: string;
  readonly attempt: number;
  readonly workerId: string;
  readonly kind: string;
  readonly delayMs: number | undefined;
  readonly result: string | undefined;
  readonly error: string | undefined;
  readonly reason: string | undefined;
  readonly breaker: string | undefined;
}

/** The values of `settle`, `settleLinked` and `already`. */
export function settlementArrays(rows: readonly SettlementRow[]): readonly string[] {
  return [
    plainArray(rows.map(({ id }) => id)),
    plainArray(rows.map(({ attempt }) => attempt)),
    plainArray(rows.map(({ workerId }) => workerId)),
    plainArray(rows.map(({ kind }) => kind)),
    plainArray(rows.map(({ delayMs }) => delayMs)),
    textArray(rows.map(({ result }) => result)),
    textArray(rows.map(({ error }) => error)),
    textArray(rows.map(({ reason }) => reason)),
    textArray(rows.map(({ breaker }) => breaker)),
  ];
}

/** The values of `succeed`. */
export function successArrays(rows: readonly SettlementRow[]): readonly string[] {
  return [
    plainArray(rows.map(({ id }) => id)),
    plainArray(rows.map(({ attempt }) => attempt)),
    plainArray(rows.map(({ workerId }) => workerId)),
    textArray(rows.map(({ result }) => result)),
  ];
}

/** The value of `settleIn`. */
export function settlementJson(row: SettlementRow): string {
  const { id, attempt, workerId, kind, delayMs, result, error, reason, breaker } = row;
  const fields = JSON.stringify({ id, attempt, worker_id: workerId, kind, delay_ms: delayMs, reason, breaker });
  return `[${fields.slice(0, -1)},"result":${result ?? "null"},"error":${error ?? "null"}}]`;
}

/** Settlements from array parameters `$1` to `$9`, as `i`: for our own pool. */
const arrayInput = `(
      select id, attempt, worker_id, kind, delay_ms, result::jsonb as result, error::jsonb as error, reason, breaker
      from unnest(
        $1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::float8[], $6::text[], $7::text[], $8::text[], $9::text[]
      ) as u(id, attempt, worker_id, kind, delay_ms, result, error, reason, breaker)
    ) as i`;

/** The same from one JSON text, which any driver's parameters can carry. */
const jsonInput = `json_to_recordset($1::text::json) as i(
      id uuid, attempt integer, worker_id uuid, kind text, delay_ms double precision, result jsonb, error jsonb,
      reason text, breaker text
    )`;

/** Of a job that somebody wants cancelled, every end but success is its cancelling. */
const unlessCancelled = (otherwise: string, cancelled: string): string =>
  `case when j.cancel_requested_at is null or i.kind = 'succeeded' then ${otherwise} else ${cancelled} end`;

export function settleStatements(table: TableName): {
  readonly succeed: Statement;
  readonly settle: Statement;
  readonly settleLinked: string;
  readonly settleIn: string;
  readonly already: Statement;
} {
  const finished = `kind in ('succeeded', 'dead', 'cancelled')`;
  const withError = appendErrorSql("errors", "error", "attempt");
  const repeated = `(kind in ('held', 'snoozed') and errors -> -1 ->> 'code' is not distinct from error ->> 'code')`;

  // Locks the jobs in id order (the input is sorted, and the lateral join takes it row by row), then touches only those.
  // Index: primary keys. The lateral join and the arrays keep the plan on the primary key, whatever the planner believes.
  // A probe that succeeded closes the breakers it probed; one that was held opens its breaker again.
  const settleFrom = (input: string, which: "plain" | "all"): string => `with fenced as materialized (
    select j.*, i.delay_ms, i.result, i.error, i.breaker,
      ${unlessCancelled("i.kind", "'cancelled'")} as kind, ${unlessCancelled("i.reason", "j.cancel_reason")} as reason
    from ${input} cross join lateral (
      select * from ${table("jobs")} j
      where j.id = i.id and ${byIdOnly("j.state")} = 'running' and j.attempt = i.attempt and j.worker_id = i.worker_id${which === "plain" ? " and not j.linked" : ""}
      for update
    ) j
  ),
  gone as (
    delete from ${table("jobs")} where id = any (array(select id from fenced where ${finished}))
  ),
  archived as (
    ${archiveSql(table, {
      source: "fenced",
      where: finished,
      state: "kind",
      reason: "reason",
      result: "result",
      errors: `case when error is null then errors else ${withError} end`,
      settled: "attempt",
      stalls: "stalls",
    })}
  ),
  kept as (
    update ${table("jobs")} j
    set state = case when f.kind in ('retrying', 'snoozed') then 'retrying' else 'ready' end,
      run_at = case when f.kind in ('retrying', 'snoozed')
        then clock_timestamp() + f.delay_ms * interval '1 millisecond' else j.run_at end,
      held_by = case when f.kind = 'held' then f.breaker end,
      excused = j.excused + case when f.kind = 'retrying' then 0 else 1 end,
      errors = f.errors,
      probe = j.probe and f.kind = 'returned',
      gate = ${gateOfReturned(table, "j.")},
      settled = j.attempt, worker_id = null, sent_at = null, send_after = clock_timestamp()
    from (
      select id, kind, delay_ms, breaker,
        case when error is null or ${repeated} then errors else ${withError} end as errors
      from fenced where not (${finished})
    ) f
    where j.id = any (array(select id from fenced where not (${finished}))) and j.id = f.id
  ),
  breakers_closed as (
    update ${table("breakers")}
    set state = 'closed', opened_at = null, retry_at = null, release_window = 1, updated_at = clock_timestamp()
    where state = 'half_open'
      and name = any (array(select unnest(breakers) from fenced where probe and kind = 'succeeded'))
  ),
  breakers_opened as (
    insert into ${table("breakers")} as b (name, state, opened_at, retry_at)
    select breaker, 'open', clock_timestamp(), clock_timestamp() + interval '10 seconds'
    from (select breaker, bool_or(probe) as probe from fenced where kind = 'held' group by breaker order by breaker) f
    where f.probe or not exists (select from ${table("breakers")} known where known.name = f.breaker)
    on conflict (name) do update
    set state = 'open', retry_at = excluded.retry_at, release_window = 1, updated_at = clock_timestamp()
    where b.state = 'half_open'
  ),
  ramps_reset as (
    update ${table("breakers")} set release_window = 1
    where state = 'closed' and release_window > 1 and name = any (array(select breaker from fenced where kind = 'held'))
  )
  select ${which === "plain" ? "id, attempt" : `attempt, kind as state, reason, ${finishedColumns}`} from fenced`;

  // Moves succeeded jobs to history; passes by those whose end concerns others (linked, probes). Locks in id order: the input is
  // sorted, and is the outer side of a nested loop, since an array comparison can be neither merged nor hashed, and the state is
  // hidden from the partial indexes. Index: jobs (id). The fence is compared again after waiting for a lock.
  const succeed = `with gone as (
    delete from ${table("jobs")} j
    using unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[]) as i(id, attempt, worker_id, result)
    where j.id = any (array[i.id]) and ${byIdOnly("j.state")} = 'running'
      and j.attempt = i.attempt and j.worker_id = i.worker_id and not j.linked and not j.probe
    returning j.*, i.result::jsonb as result
  )
  ${archiveSql(table, {
    source: "gone",
    where: "true",
    state: "'succeeded'",
    reason: "null",
    result: "result",
    errors: "errors",
    settled: "attempt",
    stalls: "stalls",
  })}
  returning id, attempt`;

  // Which of these attempts were settled before. Index: primary keys. Locks nothing.
  const already = `select i.id, i.attempt
  from ${arrayInput}
  where exists (
      select from ${table("jobs")} j where j.id = i.id and j.settled = i.attempt
    ) or exists (
      select from ${table("jobs_history")} h where h.id = i.id and h.settled = i.attempt and h.worker_id = i.worker_id
    )`;
  return {
    succeed: { name: "warren_succeed", text: succeed },
    settle: { name: "warren_settle", text: settleFrom(arrayInput, "plain") },
    settleLinked: settleFrom(arrayInput, "all"),
    settleIn: settleFrom(jsonInput, "all"),
    already: { name: "warren_settled", text: already },
  };
}
