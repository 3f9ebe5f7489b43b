import type { Statement, TableName } from "../postgres/sql.ts";

/** Appends one try to the log and keeps its last ten. */
const logged = (entry: string) =>
  `(case when jsonb_array_length(d.log) >= 10 then d.log - 0 else d.log end) || ${entry}`;

const newer = "excluded.attempt >= d.attempt";
/** The row is from an attempt that died between sending and settling. */
const lost = "(d.state = 'sending' and excluded.attempt > d.attempt)";
const doubtful = `(d.state = 'unknown' or ${lost})`;
const taken = `(${newer} and (d.state = 'deferred' or (d.state = 'sending' and excluded.attempt = d.attempt)
      or (${doubtful} and excluded.policy = 'resend')))`;

/**
 * Begins tries, one row each. Locks the rows it meets (primary key); of two attempts of one job the newer one wins, whatever their order.
 * What the row says afterwards is the verdict: `sending` under our attempt means "send".
 */
export function beginDeliveries(table: TableName): Statement {
  return {
    name: "deliveries_begin",
    text: `
insert into ${table("deliveries")} as d
  (job_id, channel, attempt, policy, template, template_version, locale, provider, recipient, recipient_hash, message_id, correlation_id, state)
select job_id, channel, attempt, policy, template, template_version, locale, provider, recipient, recipient_hash, message_id, correlation_id, 'sending'
from unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::text[], $12::text[])
  as item(job_id, channel, attempt, policy, template, template_version, locale, provider, recipient, recipient_hash, message_id, correlation_id)
order by job_id
on conflict (job_id, channel) do update set
  state = case
    when ${taken} then 'sending'
    when ${newer} and ${doubtful} then case excluded.policy when 'give_up' then 'given_up' else 'unknown' end
    else d.state end,
  attempt = case when ${taken} then excluded.attempt else d.attempt end,
  policy = case when ${newer} then excluded.policy else d.policy end,
  tries = d.tries + case when ${taken} and excluded.attempt > d.attempt then 1 else 0 end,
  doubts = d.doubts + case when ${lost} then 1 else 0 end,
  doubted_by = case when ${lost} then excluded.attempt else d.doubted_by end,
  started_at = case when ${taken} then statement_timestamp() else d.started_at end,
  settled_at = case when ${taken} then null when ${newer} and ${doubtful} then statement_timestamp() else d.settled_at end,
  log = case when ${lost}
    then ${logged("jsonb_build_object('attempt', d.attempt, 'at', statement_timestamp(), 'outcome', 'unknown', 'reason', 'ATTEMPT_LOST')")}
    else d.log end
returning job_id, channel, attempt, state, tries, doubts, doubted_by, message_id, provider_id, response, reason`,
  };
}

/**
 * Settles tries. A row of the same attempt takes the outcome. An answer that comes late, when a newer attempt has begun, is logged; if it
 * says accepted and nothing is being sent now, the delivery is accepted, so that nothing is sent again. Locks by primary key.
 */
export function settleDeliveries(table: TableName): Statement {
  return {
    name: "deliveries_settle",
    text: `
with item as (
  select * from unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[])
    as item(job_id, channel, attempt, outcome, provider_id, response, reason)
), changed as (
  update ${table("deliveries")} d set
    state = case when d.attempt = item.attempt or d.state <> 'sending' then item.outcome else d.state end,
    provider_id = coalesce(item.provider_id, d.provider_id),
    response = coalesce(item.response, d.response),
    reason = case when d.attempt = item.attempt or d.state <> 'sending' then item.reason else d.reason end,
    settled_at = case when d.attempt = item.attempt or d.state <> 'sending' then statement_timestamp() else d.settled_at end,
    doubts = d.doubts + case when item.outcome = 'unknown' then 1 else 0 end,
    log = ${logged(`jsonb_strip_nulls(jsonb_build_object('attempt', item.attempt, 'at', statement_timestamp(),
      'outcome', item.outcome, 'reason', item.reason, 'response', left(item.response, 200)))`)}
  from item
  where d.job_id = item.job_id and d.channel = item.channel
    and ((d.attempt = item.attempt and d.state = 'sending')
      or (item.outcome = 'accepted' and d.attempt >= item.attempt and d.state in ('sending', 'deferred', 'unknown', 'given_up')))
  returning d.job_id, d.channel, item.attempt, case when d.attempt = item.attempt then 'applied' else 'late' end as settled
)
select item.job_id, item.channel, coalesce(changed.settled,
  case when before.attempt = item.attempt and before.state = item.outcome then 'already' else 'fenced' end) as settled
from item
left join changed using (job_id, channel, attempt)
left join ${table("deliveries")} before on before.job_id = item.job_id and before.channel = item.channel`,
  };
}

/** Every delivery of a job, by primary key. */
export function deliveriesOfJob(table: TableName): Statement {
  return {
    name: "deliveries_of_job",
    text: `
select job_id, channel, state, policy, attempt, tries, doubts, template, template_version, locale, provider, recipient, message_id,
  provider_id, response, reason, correlation_id, created_at, started_at, settled_at, log
from ${table("deliveries")} where job_id = $1 order by channel`,
  };
}

/** A person's decision about a delivery that nobody knows the outcome of. Locks one row by primary key. */
export function resolveDelivery(table: TableName): Statement {
  return {
    name: "deliveries_resolve",
    text: `
update ${table("deliveries")} d set
  state = $3, reason = $4, settled_at = statement_timestamp(),
  log = ${logged("jsonb_build_object('attempt', d.attempt, 'at', statement_timestamp(), 'outcome', $3::text, 'reason', $4::text)")}
where job_id = $1 and channel = $2 and state in ('unknown', 'given_up')
returning job_id`,
  };
}
