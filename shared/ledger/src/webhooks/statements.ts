import { insertJobs } from "../enqueue/job-insert.ts";
import type { Statement, TableName } from "../postgres/sql.ts";

/** One element for each tuple that differs: a row finds its own under `place`. The list is short, so finding is cheap. */
function sharedColumns(
  first: number,
  columns: readonly (readonly [name: string, type: string, cast?: string])[],
): string {
  return columns
    .map(([name, type, cast = ""], index) => `($${first + index}::${type}[])[u.place]${cast} as ${name}`)
    .join(", ");
}

/**
 * Requests, as `q`, from `$1` to `$20` (see `requestValues`); their bodies lie one after the other in a parameter of their own (see
 * `bodyParts`). A row knows its jobs as a part of the list of all jobs' ids.
 */
export const requestInput = `(
    select u.ordinal, u.id, u.correlation_id, u.body_bytes, u.headers, u.dedupe_key, u.event_id, u.event_subject, u.at,
      u.body_bytes::int as size, u.first_job, u.last_job, ${sharedColumns(12, [
        ["source", "text"],
        ["provider", "text"],
        ["method", "text"],
        ["path", "text"],
        ["query", "text"],
        ["peer_address", "text"],
        ["client_address", "text"],
        ["event_type", "text"],
        ["cause", "text"],
      ])}
    from rows from (
      unnest($1::uuid[]), unnest($2::text[]), unnest($3::bigint[]), json_array_elements($4::text::json), unnest($5::text[]),
      unnest($6::text[]), unnest($7::text[]), unnest($8::int[]), unnest($9::int[]), unnest($10::int[]), unnest($11::int[])
    ) with ordinality as u(
      id, correlation_id, body_bytes, headers, dedupe_key, event_id, event_subject, at, first_job, last_job, place, ordinal
    )
  ) as q`;
const body = (parameter: string): string => `substring(${parameter}::bytea from q.at for q.size)`;

/** Jobs, as `r` for `insertJobs`, from `$21` to `$37` (see `jobValues`). `request` is the ordinal of the request that a job comes of. */
const jobIds = "$21::uuid[]";
const jobInput = `(
      select u.id, u.request, u.correlation_id, u.payload, ${sharedColumns(26, [
        ["queue", "text"],
        ["name", "text"],
        ["version", "int"],
        ["priority", "int"],
        ["delay_ms", "float8"],
        ["run_at", "timestamptz"],
        ["max_attempts", "int"],
        ["max_stalls", "int"],
        ["breakers", "text", "::text[]"],
        ["trace", "text"],
        ["key", "text"],
        ["grace_ms", "int"],
      ])}
      from rows from (
        unnest(${jobIds}), unnest($22::int[]), unnest($23::text[]), jsonb_array_elements($24::text::jsonb), unnest($25::int[])
      ) as u(id, request, correlation_id, payload, place)
    ) as r`;

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
      dedupe_key, event_id, event_type, event_subject, correlation_id, job_ids, headers, body, routing
    )
    select q.id, statement_timestamp(), q.body_bytes, q.source, q.provider,
      case when f.request_id is null then 'duplicate' else 'accepted' end,
      q.method, q.path, q.query, q.peer_address, q.client_address, q.dedupe_key, q.event_id, q.event_type, q.event_subject,
      q.correlation_id,
      case when f.request_id is null then '{}' else (${jobIds})[q.first_job : q.last_job] end, q.headers, ${body("$38")},
      case when f.request_id is not null and q.last_job < q.first_job then 'unmatched' end
    from request q left join fresh f on f.request_id = q.id
  ),
  enqueued as (
    ${insertJobs(table, { rare: false })}
    from ${jobInput}
    where r.request in (select q.ordinal from request q join fresh f on f.request_id = q.id)
    returning id, gate
  )
  select request_id, null as waiting from fresh
  union all
  select null, id from enqueued where gate <> 0`,
  };
}

/** Inserts only; locks nothing that exists. */
export function recordStatement(table: TableName): Statement {
  return {
    name: "warren_webhooks_record",
    text: `insert into ${table("webhook_requests")} (
    id, received_at, body_bytes, source, provider, status, cause, method, path, query, peer_address, client_address,
    event_type, correlation_id, headers, body
  )
  select q.id, statement_timestamp(), q.body_bytes, q.source, q.provider,
    case when q.cause is null then 'answered' else 'rejected' end, q.cause, q.method, q.path, q.query,
    q.peer_address, q.client_address, q.event_type, q.correlation_id, q.headers,
    case when q.at is null then null else ${body("$21")} end
  from ${requestInput}`,
  };
}
