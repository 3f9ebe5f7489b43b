import type { Statement, TableName } from "../postgres/sql.ts";

/** Health is written on every failure, but on a success only where that says something new. */
const newsMs = "interval '10 seconds'";

/** Statements of outbound deliveries. They lock one delivery, and at most its endpoint's health, by primary key. */
export function deliveryStatements(table: TableName) {
  const deliveries = table("webhook_deliveries");
  const attempts = table("webhook_attempts");
  const endpoints = table("webhook_endpoints");
  const health = table("webhook_endpoint_health");
  const view = `select id, endpoint_id, job_id, created_at, updated_at, next_at, attempts, state, event_type, event_id, webhook_id, reason, body
    from ${deliveries}`;

  // A job tries a delivery that is its own and not delivered. An attempt that is still open was lost with its worker.
  const begin: Statement = {
    name: "warren_webhook_begin",
    text: `with delivery as (
      insert into ${deliveries} as d (id, endpoint_id, job_id, event_type, event_id, webhook_id, body, state, attempts)
      values ($1, $2, $3, $4, $5, $6, $7, 'sending', 1)
      on conflict (id) do update set state = 'sending', attempts = d.attempts + 1, next_at = null, reason = null,
        updated_at = statement_timestamp()
        where d.job_id = excluded.job_id and d.state <> 'delivered'
      returning id, attempts, webhook_id, body
    ), lost as (
      update ${attempts} set outcome = 'lost', reason = 'DELIVERY_WORKER_LOST' where delivery_id = $1 and outcome = 'sending'
    ), attempt as (
      insert into ${attempts} (delivery_id, number, job_id, url, outcome) select id, attempts, $3, $8, 'sending' from delivery
    )
    select attempts, webhook_id, body from delivery`,
  };

  // Nothing was sent, and nothing will be.
  const refuse: Statement = {
    name: "warren_webhook_refuse",
    text: `insert into ${deliveries} as d (id, endpoint_id, job_id, event_type, event_id, webhook_id, body, state, reason)
      values ($1, $2, $3, $4, $5, $6, $7, 'failed', $8)
      on conflict (id) do update set state = 'failed', reason = excluded.reason, next_at = null, updated_at = statement_timestamp()
        where d.job_id = excluded.job_id and d.state <> 'delivered'`,
  };

  // An attempt that a newer one has overtaken is written down; of the delivery it only says that it was delivered.
  const settle: Statement = {
    name: "warren_webhook_settle",
    text: `with attempt as (
      update ${attempts} set outcome = $3, reason = $4, detail = $5, duration_ms = $6, response_status = $7, response_truncated = $8,
        address = $9, request_headers = $10, response_headers = $11, response_body = $12
      where delivery_id = $1 and number = $2 and outcome in ('sending', 'lost')
    )
    update ${deliveries} set state = $13, reason = $4, updated_at = statement_timestamp(),
      next_at = case when $13 = 'pending' then statement_timestamp() + $14::double precision * interval '1 millisecond' end
    where id = $1 and (attempts = $2 or $13 = 'delivered') and state <> 'delivered'`,
  };

  const succeeded: Statement = {
    name: "warren_webhook_succeeded",
    text: `update ${health} h set failing_since = null, outages = 0, last_success_at = statement_timestamp()
      from (select outages from ${health} where endpoint_id = $1 for update) before
      where h.endpoint_id = $1 and (h.failing_since is not null or h.outages > 0 or h.last_success_at is null
        or h.last_success_at < statement_timestamp() - ${newsMs})
      returning before.outages`,
  };

  // The endpoint's row is read without a lock: disabling compares its state again.
  const failed: Statement = {
    name: "warren_webhook_failed",
    text: `update ${health} h set failing_since = coalesce(h.failing_since, statement_timestamp()),
        outages = case when $2 then h.outages + 1 else 0 end, last_failure_at = statement_timestamp()
      where h.endpoint_id = $1
      returning h.outages, h.failing_since,
        extract(epoch from statement_timestamp() - h.failing_since) * 1000 as failing_ms,
        (select e.state from ${endpoints} e where e.id = h.endpoint_id) as state`,
  };

  return {
    begin,
    refuse,
    settle,
    succeeded,
    failed,
    // primary key
    find: `${view} where id = $1`,
    // Index: webhook_deliveries_endpoint, _failed or _event, else the primary key, backwards.
    list: (where: readonly string[], limit: number) =>
      `${view} ${where.length === 0 ? "" : `where ${where.join(" and ")}`} order by id desc limit ${limit}`,
    // primary key (delivery_id, number)
    attempts: `select number, job_id, started_at, duration_ms, response_status, response_truncated, outcome, reason, detail, url, address,
        request_headers, response_headers, response_body
      from ${attempts} where delivery_id = $1 and ($3::int is null or number < $3) order by number desc limit $2`,
    // Hands a delivery from a job that has ended to another one. Only one of several at once gets it.
    take: `update ${deliveries} set state = 'pending', job_id = $3, reason = null, next_at = null, updated_at = statement_timestamp()
      where id = $1 and job_id = $2 returning id`,
  } as const;
}
