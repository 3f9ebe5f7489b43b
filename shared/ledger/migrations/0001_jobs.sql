-- The state machine of jobs. Names are unqualified: the runner puts the schema on the search path of this transaction.

-- The hot table: unfinished jobs only. A finished job moves to jobs_history in the statement that finishes it.
-- Every claim and settlement changes columns that partial indexes name, so none of them can be a heap-only update;
-- each index below is one more entry a job, and each answers a question that must not scan a backlog.
create table jobs (
  id uuid primary key,
  run_at timestamptz not null,
  send_after timestamptz not null,
  created_at timestamptz not null default statement_timestamp(),
  sent_at timestamptz,
  claimed_at timestamptz,
  attempt integer not null default 0,
  excused integer not null default 0,
  settled integer not null default 0,
  max_attempts integer not null,
  stalls integer not null default 0,
  max_stalls integer not null,
  version integer not null,
  priority integer not null default 0,
  probe boolean not null default false,
  worker_id uuid,
  state text not null,
  queue text not null,
  name text not null,
  held_by text,
  correlation_id text not null,
  trace text,
  job_key text,
  breakers text[] not null default '{}',
  payload jsonb not null,
  errors jsonb not null default '[]',
  constraint jobs_state_known check (state in ('scheduled', 'ready', 'running', 'retrying')),
  constraint jobs_running_has_worker check ((state = 'running') = (worker_id is not null)),
  constraint jobs_held_is_ready check (held_by is null or state = 'ready'),
  constraint jobs_fence_in_order check (excused <= attempt and settled <= attempt),
  constraint jobs_limits_positive check (max_attempts >= 1 and max_stalls >= 0)
) with (
  fillfactor = 85,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_analyze_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0
);

comment on column jobs.attempt is 'Number of claims, and the fence: a settlement must name it.';
comment on column jobs.excused is 'Claims that do not count against max_attempts: stalls, snoozes, holds, hand-backs.';
comment on column jobs.settled is 'The attempt that its own worker settled last; tells a repeated settlement from a refused one.';
comment on column jobs.send_after is 'Not before then may another process publish this ready job again.';

-- What has become due.
create index jobs_due on jobs (run_at) where state in ('scheduled', 'retrying');
-- How old the oldest ready job of each queue is, and what was sent and then lost.
create index jobs_ready on jobs (queue, run_at) where state = 'ready' and held_by is null;
-- What nobody has published yet.
create index jobs_unsent on jobs (send_after) where state = 'ready' and held_by is null and sent_at is null;
-- What a worker holds.
create index jobs_running on jobs (worker_id) where state = 'running';
-- What an open breaker holds back.
create index jobs_held on jobs (held_by, run_at) where held_by is not null;

-- Finished jobs, by the time in their id (UUIDv7), so that retention drops partitions. The default partition takes ids
-- from outside the made ranges: clock skew, ids that are no UUIDv7, jobs that finish after their partition was dropped.
create table jobs_history (
  id uuid not null,
  run_at timestamptz not null,
  created_at timestamptz not null,
  claimed_at timestamptz,
  finished_at timestamptz not null,
  attempt integer not null,
  excused integer not null,
  settled integer not null,
  max_attempts integer not null,
  stalls integer not null,
  max_stalls integer not null,
  version integer not null,
  priority integer not null,
  worker_id uuid,
  state text not null,
  queue text not null,
  name text not null,
  reason text,
  correlation_id text not null,
  trace text,
  job_key text,
  payload jsonb not null,
  result jsonb,
  errors jsonb not null,
  constraint jobs_history_state_known check (state in ('succeeded', 'dead', 'cancelled')),
  primary key (id)
) partition by range (id);
-- Rows arrive in the order in which they finish, so a block range index finds the late ones for next to nothing.
create index jobs_history_finished on jobs_history using brin (finished_at);
create table jobs_history_default partition of jobs_history default;

-- Names that clients chose for their jobs: the same name and key is the same job, for as long as history is kept.
create table job_keys (
  name text not null,
  key text not null,
  job_id uuid not null,
  created_at timestamptz not null default statement_timestamp(),
  primary key (name, key)
);
create index job_keys_created on job_keys using brin (created_at);

-- Worker processes. A lease is the worker's beat: one row a worker, however many jobs it runs.
create table workers (
  id uuid primary key,
  host text not null,
  pid integer not null,
  version text not null,
  queues text[] not null,
  concurrency integer not null,
  started_at timestamptz not null default statement_timestamp(),
  beat_at timestamptz not null default statement_timestamp(),
  beat_seq bigint not null default 0,
  ended_at timestamptz,
  ended_as text,
  constraint workers_end_known check (ended_as in ('retired', 'expired')),
  constraint workers_end_whole check ((ended_at is null) = (ended_as is null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

create table breakers (
  name text primary key,
  state text not null,
  opened_at timestamptz,
  retry_at timestamptz,
  reporter text,
  updated_at timestamptz not null default statement_timestamp(),
  release_window integer not null default 1,
  constraint breakers_state_known check (state in ('closed', 'open', 'half_open')),
  constraint breakers_open_has_retry check (state = 'closed' or (opened_at is not null and retry_at is not null))
);

-- Messages that the broker gave up on, ours or not, as they were.
create table dead_letters (
  id uuid primary key,
  fingerprint bytea not null unique,
  message_id text,
  queue text not null,
  reason text not null,
  exchange text,
  routing_key text,
  death jsonb,
  headers jsonb,
  body bytea not null,
  job_ids uuid[] not null default '{}',
  received_at timestamptz not null default statement_timestamp()
);

create index dead_letters_jobs on dead_letters using gin (job_ids);

-- Shared cache of provider answers. Unlogged: after a crash of the database it is empty, as a cache may be.
create unlogged table cache (
  key text primary key,
  value jsonb not null,
  expires_at timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0.05);
create index cache_expiry on cache (expires_at);
