-- Webhooks: every request received, byte for byte, and which events were accepted before.

-- Partitioned by the time in the id (UUIDv7) like history, so that retention drops partitions. One index only: this is the
-- hottest insert of the platform.
create table webhook_requests (
  id uuid not null,
  received_at timestamptz not null default statement_timestamp(),
  body_bytes bigint not null,
  source text not null,
  provider text,
  status text not null,
  cause text,
  method text not null,
  path text not null,
  query text,
  peer_address text,
  client_address text,
  dedupe_key text,
  event_id text,
  event_type text,
  correlation_id text not null,
  job_ids uuid[] not null default '{}',
  headers json not null,
  body bytea,
  constraint webhook_requests_status_known check (status in ('accepted', 'duplicate', 'rejected')),
  constraint webhook_requests_rejected_has_cause check ((status = 'rejected') = (cause is not null)),
  primary key (id)
) partition by range (id);

comment on column webhook_requests.body_bytes is 'Bytes received (announced, where nothing was read).';
comment on column webhook_requests.headers is 'Names and values in turn, in the order and case received.';
comment on column webhook_requests.body is 'The exact bytes; null where they were not kept: too large, or not whole.';
comment on column webhook_requests.job_ids is 'Jobs that this request made; none if it was a duplicate or rejected.';

-- What was refused at a source, newest first. Costs accepted requests nothing.
create index webhook_requests_rejected on webhook_requests (source, id) where status = 'rejected';

-- Rows up to a page stay whole: compressing a body of some kilobytes costs more than the page it saves.
create table webhook_requests_default partition of webhook_requests default with (toast_tuple_target = 8160);

-- The same source and key is the same event. Outlives the request, because senders retry for up to 30 days.
create table webhook_dedupe (
  source text not null,
  key text not null,
  request_id uuid not null,
  created_at timestamptz not null default statement_timestamp(),
  primary key (source, key)
);
create index webhook_dedupe_created on webhook_dedupe using brin (created_at);
