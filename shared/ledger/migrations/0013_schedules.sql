-- Schedules: what makes jobs by the clock. A schedule is a row, not a chain of jobs: no job's end, retry or removal can stop or fork it.
create table schedules (
  name text primary key,
  origin text not null,
  service text,
  -- the jobs it makes
  queue text not null,
  job text not null,
  version integer not null,
  payload jsonb not null,
  priority integer not null,
  max_attempts integer not null,
  max_stalls integer not null,
  breakers text[] not null,
  limit_key text,
  payload_form text,
  attributes jsonb,
  -- when
  fires text not null,
  time_zone text not null,
  starts_at timestamptz,
  ends_at timestamptz,
  run_limit integer,
  misfire text not null,
  catch_up integer,
  overlap text not null,
  -- how far it has come
  next_at timestamptz,
  decided_to timestamptz not null,
  waiting timestamptz[] not null default '{}',
  fired bigint not null default 0,
  missed bigint not null default 0,
  overlapped bigint not null default 0,
  last_at timestamptz,
  last_job_id uuid,
  paused_at timestamptz,
  paused_by text,
  orphaned_at timestamptz,
  created_at timestamptz not null default statement_timestamp(),
  updated_at timestamptz not null default statement_timestamp(),
  constraint schedules_origin_known check (origin in ('code', 'api') and (origin = 'api' or service is not null)),
  constraint schedules_misfire_known check (misfire in ('skip', 'once', 'catch_up') and (misfire = 'catch_up') = (catch_up is not null)),
  constraint schedules_overlap_known check (overlap in ('allow', 'skip', 'queue', 'cancel')),
  constraint schedules_limits_positive check (run_limit >= 1 and catch_up >= 1),
  constraint schedules_pause_whole check ((paused_at is null) = (paused_by is null))
);

comment on column schedules.fires is 'The rhythm as text, for parseWhen.';
comment on column schedules.decided_to is 'Up to here every occurrence is decided; never goes back.';
comment on column schedules.waiting is 'Occurrences that wait for an earlier one to finish.';
comment on column schedules.orphaned_at is 'Since when the code of its service does not define it any more.';

-- What is due.
create index schedules_due on schedules (next_at) where paused_at is null;
-- What waits for an earlier run.
create index schedules_waiting on schedules (name) where waiting <> '{}' and paused_at is null;
-- Unfinished jobs of a schedule; holds no other job.
create index jobs_schedule on jobs (schedule) where schedule is not null;

-- Jobs of the same due time in the order in which they were made. Holds waiting jobs only, as before.
create index jobs_due_in_order on jobs (run_at, id) where state in ('scheduled', 'retrying');
drop index jobs_due;
alter index jobs_due_in_order rename to jobs_due;
