import { insertJobs, jobArrayInput } from "../job-insert.ts";
import type { Statement, TableName } from "../sql.ts";

/** Requests as array parameters, `$1` to `$17` (see `requestArrays`); their bodies lie one after the other in `$18`. */
const requestInput = `(
    select id, source, provider, method, path, query, peer_address, client_address, correlation_id, body_bytes,
      headers::json as headers, dedupe_key, event_id, event_type, cause, job_ids::uuid[] as job_ids, at, body_bytes::int as size
    from unnest(
      $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
      $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::int[]
    ) as u(
      id, source, provider, method, path, query, peer_address, client_address, correlation_id, body_bytes,
      headers, dedupe_key, event_id, event_type, cause, job_ids, at
    )
  ) as q`;
const bodies = "$18::bytea";
const firstJobParameter = 19;

/**
 * Request, dedupe key and jobs, all or nothing. Waits for another transaction only where both hold the same key, and takes keys in
 * their order, so that two batches never wait for each other. Index: webhook_dedupe (source, key).
 */
export function acceptStatement(table: TableName): Statement {
  return {
    name: "warren_webhooks_accept",
    text: `with request as materialized (
    select * from ${requestInput}
  ),
  fresh as (
    insert into ${table("webhook_dedupe")} (source, key, request_id, created_at)
    select distinct on (source, dedupe_key) source, dedupe_key, id, statement_timestamp()
    from request order by source, dedupe_key, id
    on conflict (source, key) do nothing
    returning request_id
  ),
  stored as (
    insert into ${table("webhook_requests")} (
      id, received_at, body_bytes, source, provider, status, method, path, query, peer_address, client_address,
      dedupe_key, event_id, event_type, correlation_id, job_ids, headers, body
    )
    select q.id, statement_timestamp(), q.body_bytes, q.source, q.provider,
      case when f.request_id is null then 'duplicate' else 'accepted' end,
      q.method, q.path, q.query, q.peer_address, q.client_address, q.dedupe_key, q.event_id, q.event_type, q.correlation_id,
      case when f.request_id is null then '{}' else q.job_ids end, q.headers, substring(${bodies} from q.at for q.size)
    from request q left join fresh f on f.request_id = q.id
  ),
  enqueued as (
    ${insertJobs(table, { rare: false })}
    from ${jobArrayInput(firstJobParameter)}
    where r.id in (select unnest(q.job_ids) from request q join fresh f on f.request_id = q.id)
  )
  select request_id from fresh`,
  };
}

/** Inserts only; locks nothing that exists. */
export function rejectStatement(table: TableName): Statement {
  return {
    name: "warren_webhooks_reject",
    text: `insert into ${table("webhook_requests")} (
    id, received_at, body_bytes, source, provider, status, cause, method, path, query, peer_address, client_address,
    correlation_id, headers, body
  )
  select q.id, statement_timestamp(), q.body_bytes, q.source, q.provider, 'rejected', q.cause, q.method, q.path, q.query,
    q.peer_address, q.client_address, q.correlation_id, q.headers,
    case when q.at is null then null else substring(${bodies} from q.at for q.size) end
  from ${requestInput}`,
  };
}
