-- What people do to jobs: cancel them while they run, bring them back, look at their progress, wait for them, act on many at once.
-- A plain job touches none of it.

-- Which of a worker's jobs somebody wants cancelled: asked at every heartbeat, and empty nearly always.
create index jobs_cancel_requested on jobs (worker_id) where cancel_requested_at is not null;

alter table jobs_history
  add column breakers text[],
  add column discarded_at timestamptz,
  add column discarded_by text,
  add column result_expired_at timestamptz;
comment on column jobs_history.breakers is 'For its return to the hot table; null for none.';
comment on column jobs_history.discarded_at is 'Somebody has looked at it and wants to see no more of it.';

-- Dead and cancelled jobs, newest first. Succeeded ones pay one comparison.
create index jobs_history_failed on jobs_history (state, id) where state <> 'succeeded';

-- The last progress of a job. Tables of their own, so that the row that claims and settlements fight for stays as it is.
create table job_progress (
  job_id uuid not null,
  updated_at timestamptz not null default statement_timestamp(),
  attempt integer not null,
  value jsonb not null,
  primary key (job_id)
) partition by range (job_id);
create table job_progress_default partition of job_progress default with (fillfactor = 70);

-- Lines that handlers wrote about a job, in order.
create table job_lines (
  job_id uuid not null,
  at timestamptz not null,
  attempt integer not null,
  line integer not null,
  text text not null,
  primary key (job_id, attempt, line)
) partition by range (job_id);
create table job_lines_default partition of job_lines default;

-- Results that are to be forgotten before their job is. Written before the job succeeds, so that none is missed.
create table result_expiries (
  job_id uuid primary key,
  expires_at timestamptz not null
);
create index result_expiries_due on result_expiries (expires_at);

-- Who watches what jobs do. Empty nearly always; workers look at every heartbeat whether they should tell.
create table job_watches (
  id uuid primary key,
  expires_at timestamptz not null,
  queue text,
  job_id uuid
);

-- Operations on many jobs: the audit of who did what to how many, and how far it is.
create table bulk_operations (
  id uuid primary key,
  created_at timestamptz not null default statement_timestamp(),
  finished_at timestamptz,
  next_batch_at timestamptz not null default statement_timestamp(),
  matched integer not null,
  changed integer not null default 0,
  skipped integer not null default 0,
  rate double precision,
  action text not null,
  state text not null default 'running',
  requested_by text not null,
  reason text not null,
  ended_by text,
  filter jsonb not null,
  skips jsonb not null default '{}',
  constraint bulk_action_known check (action in ('cancel', 'retry', 'discard', 'restore')),
  constraint bulk_state_known check (state in ('running', 'paused', 'done', 'aborted')),
  constraint bulk_end_whole check ((finished_at is null) = (state in ('running', 'paused')))
);
comment on column bulk_operations.rate is 'Jobs a second at most; null: as fast as it goes.';
comment on column bulk_operations.skips is 'Why jobs were left alone: code and number.';
create index bulk_operations_open on bulk_operations (next_batch_at) where state = 'running';

-- The jobs that matched when the operation was made. Each leaves in the transaction that changes it.
create table bulk_targets (
  operation_id uuid not null,
  job_id uuid not null,
  primary key (operation_id, job_id)
) with (autovacuum_vacuum_scale_factor = 0.05);
