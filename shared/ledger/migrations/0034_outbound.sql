-- Outbound webhooks: where they go, what was delivered, and every try.

create table webhook_endpoints (
  id uuid primary key,
  url text not null,
  event_types text[] not null default '{}',
  settings jsonb not null,
  sealed text,
  state text not null default 'enabled',
  disabled_reason text,
  disabled_at timestamptz,
  revision integer not null default 1,
  created_at timestamptz not null default statement_timestamp(),
  updated_at timestamptz not null default statement_timestamp(),
  constraint webhook_endpoints_state_known check (state in ('enabled', 'disabled')),
  constraint webhook_endpoints_disabled_has_reason check ((state = 'disabled') = (disabled_reason is not null))
);
comment on column webhook_endpoints.event_types is 'Patterns of the types that it wants; none: every type.';
comment on column webhook_endpoints.settings is 'What may be read by anybody who may read the table: `endpointSettings` of @warren/contracts.';
comment on column webhook_endpoints.sealed is 'What may not: headers, proxy, client certificate; sealed with the key ring.';
-- Fan-out reads these only.
create index webhook_endpoints_enabled on webhook_endpoints (id) where state = 'enabled';

create table webhook_endpoint_secrets (
  id uuid primary key,
  endpoint_id uuid not null references webhook_endpoints on delete cascade,
  kind text not null,
  public_key text,
  sealed text not null,
  created_at timestamptz not null default statement_timestamp(),
  expires_at timestamptz,
  constraint webhook_endpoint_secrets_kind_known check (kind in ('v1', 'v1a'))
);
comment on column webhook_endpoint_secrets.expires_at is 'Until when deliveries are also signed with it, after another one took its place.';
create index webhook_endpoint_secrets_endpoint on webhook_endpoint_secrets (endpoint_id);

-- Apart from the endpoint, because tries change it and settings do not.
create table webhook_endpoint_health (
  endpoint_id uuid primary key references webhook_endpoints on delete cascade,
  failing_since timestamptz,
  outages integer not null default 0,
  last_success_at timestamptz,
  last_failure_at timestamptz
) with (fillfactor = 50);
comment on column webhook_endpoint_health.failing_since is 'The first of the failures that no success has followed.';
comment on column webhook_endpoint_health.outages is 'Tries in a row that found the endpoint away or overloaded; opens its breaker.';

-- Partitioned by the time in the id (UUIDv7), so that retention drops partitions.
create table webhook_deliveries (
  id uuid not null,
  endpoint_id uuid not null,
  job_id uuid not null,
  created_at timestamptz not null default statement_timestamp(),
  updated_at timestamptz not null default statement_timestamp(),
  next_at timestamptz,
  attempts integer not null default 0,
  state text not null,
  event_type text not null,
  event_id text not null,
  webhook_id text not null,
  reason text,
  body text not null,
  constraint webhook_deliveries_state_known check (state in ('pending', 'sending', 'delivered', 'failed')),
  primary key (id)
) partition by range (id);
create table webhook_deliveries_default partition of webhook_deliveries default with (fillfactor = 80);
comment on column webhook_deliveries.id is 'Id of the job that made it.';
comment on column webhook_deliveries.job_id is 'The job that tries it now: another one after it was retried by hand.';
comment on column webhook_deliveries.body is 'The bytes that every try sends.';
create index webhook_deliveries_endpoint on webhook_deliveries (endpoint_id, id);
create index webhook_deliveries_failed on webhook_deliveries (endpoint_id, id) where state = 'failed';
create index webhook_deliveries_event on webhook_deliveries (event_id, id);

create table webhook_attempts (
  delivery_id uuid not null,
  number integer not null,
  job_id uuid not null,
  started_at timestamptz not null default statement_timestamp(),
  duration_ms integer,
  response_status integer,
  response_truncated boolean,
  outcome text not null,
  reason text,
  detail text,
  url text not null,
  address text,
  request_headers json,
  response_headers json,
  response_body bytea,
  constraint webhook_attempts_outcome_known check (outcome in ('sending', 'delivered', 'failed', 'lost')),
  primary key (delivery_id, number)
) partition by range (delivery_id);
create table webhook_attempts_default partition of webhook_attempts default with (fillfactor = 80);
comment on column webhook_attempts.outcome is 'lost: its worker died before the answer was written down; the endpoint may have had it.';
comment on column webhook_attempts.request_headers is 'Names and values in turn; those of the endpoint''s own headers are left out.';
