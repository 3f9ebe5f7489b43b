import type { Statement, TableName } from "../postgres/sql.ts";

/**
 * Takes the starts since the last look out of the table, out of the buckets of their keys, and answers them (`at_ms`, `starts`) for the bucket
 * of the queue. `$2` tokens a millisecond of a key and `$3` burst; null where only single keys have a rate. The formula is `afterStarts` in
 * closed form: a bucket can hold no more than its burst just before any start. Under the queue's lock. Index: queue_starts (queue), primary
 * keys of queue_buckets and queue_key_policies.
 */
export function takeStarts(table: TableName): Statement {
  return {
    name: "warren_take_starts",
    text: `with started as materialized (
    delete from ${table("queue_starts")} where queue = $1 returning key, starts, at
  ),
  rated as (
    select s.key, s.starts, b.tokens, b.tokens_at, greatest(s.at, b.tokens_at) as at,
      coalesce(o.rate_limit / o.rate_per_ms, $2::float8) as per_ms, coalesce(o.rate_burst, $3::float8) as burst
    from started s
    left join ${table("queue_key_policies")} o on o.queue = $1 and o.key = s.key
    left join ${table("queue_buckets")} b on b.queue = $1 and b.key = s.key
    where s.key <> ''
  ),
  replayed as (
    select *, max(at) over (partition by key) as until, sum(starts) over (partition by key order by at desc) as since
    from rated where burst is not null
  ),
  drawn as (
    select key, until, per_ms, burst, least(
        tokens + extract(epoch from until - tokens_at)::float8 * 1000 * per_ms - sum(starts),
        min(burst + extract(epoch from until - at)::float8 * 1000 * per_ms - since)
      ) as tokens
    from replayed group by key, until, per_ms, burst, tokens, tokens_at
  ),
  written as (
    insert into ${table("queue_buckets")} (queue, key, tokens, tokens_at, full_at)
    select $1, key, tokens, until, until + (burst - tokens) / per_ms * interval '1 millisecond' from drawn
    on conflict (queue, key) do update
    set tokens = excluded.tokens, tokens_at = excluded.tokens_at, full_at = excluded.full_at
  )
  select extract(epoch from at)::float8 * 1000 as at_ms, sum(starts)::int as starts from started group by at`,
  };
}
