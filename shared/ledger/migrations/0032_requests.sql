-- Requests, events and jobs kept apart: an event is an accepted dedupe key of a source, under the id of the request that was accepted.

alter table webhook_requests
  add column event_subject text,
  add column late_at timestamptz,
  add column first_cause text;
comment on column webhook_requests.event_subject is 'What the event is about, in the provider''s words: an id of an object, a repository.';
comment on column webhook_requests.late_at is 'When it was taken after all, having been rejected first.';
comment on column webhook_requests.first_cause is 'Why it was rejected first.';

-- Further requests of an event. Costs accepted requests nothing.
create index webhook_requests_duplicates on webhook_requests (source, dedupe_key, id) where status = 'duplicate';

-- Finds an id or a subject among all days by reading a few hundred pages instead of all. Inserting writes nothing to it: block ranges
-- are summarized in the background (autosummarize, and the dispatcher), and those that are not yet are read whole.
create index webhook_requests_named on webhook_requests using brin (
  event_id text_bloom_ops (n_distinct_per_range = 800),
  event_subject text_bloom_ops (n_distinct_per_range = 800)
) with (pages_per_range = 64, autosummarize = on);

-- For how long a source's dedupe keys are remembered, where it differs from the default.
create table webhook_dedupe_policies (
  source text primary key,
  retention_days integer not null,
  updated_at timestamptz not null default statement_timestamp(),
  constraint webhook_dedupe_days_bounded check (retention_days between 1 and 3650)
);

-- What people had done to an event after it came: the audit of it, and the jobs that it got.
create table webhook_event_runs (
  id uuid primary key,
  event_id uuid not null,
  created_at timestamptz not null default statement_timestamp(),
  operation_id uuid,
  kind text not null,
  requested_by text not null,
  reason text not null,
  made uuid[] not null default '{}',
  revived uuid[] not null default '{}',
  constraint webhook_event_run_known check (kind in ('late', 'missing', 'new'))
);
create index webhook_event_runs_of on webhook_event_runs (event_id, id);
create index webhook_event_runs_created on webhook_event_runs using brin (created_at);

-- Replays of many events and verifications of many rejected requests. The predicate is frozen: the filter and the ids between two bounds.
create table webhook_operations (
  id uuid primary key,
  created_at timestamptz not null default statement_timestamp(),
  finished_at timestamptz,
  next_batch_at timestamptz not null default statement_timestamp(),
  from_id uuid not null,
  before_id uuid not null,
  position uuid not null,
  looked bigint not null default 0,
  matched integer not null default 0,
  changed integer not null default 0,
  skipped integer not null default 0,
  most integer,
  rate double precision not null,
  most_waiting integer not null,
  action text not null,
  mode text not null,
  state text not null default 'running',
  requested_by text not null,
  reason text not null,
  ended_by text,
  filter jsonb not null,
  skips jsonb not null default '{}',
  examples jsonb not null default '{}',
  waiting uuid[] not null default '{}',
  constraint webhook_operation_action_known check (action in ('replay', 'verify')),
  constraint webhook_operation_mode_known check (mode in ('missing', 'new')),
  constraint webhook_operation_state_known check (state in ('running', 'paused', 'done', 'aborted')),
  constraint webhook_operation_end_whole check ((finished_at is null) = (state in ('running', 'paused')))
);
comment on column webhook_operations.position is 'The last id that was looked at.';
comment on column webhook_operations.waiting is 'Its jobs that no worker had finished when it last looked.';
comment on column webhook_operations.examples is 'Some ids for each reason of skips.';
create index webhook_operations_open on webhook_operations (next_batch_at) where state = 'running';
