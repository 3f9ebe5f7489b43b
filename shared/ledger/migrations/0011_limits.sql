-- Governed queues: which queues have a policy, and where the dispatchers stand in letting their jobs go.

-- What a queue may do. Few rows, read by every statement that writes or claims jobs; changed by people and deploys only.
create table queue_policies (
  queue text primary key,
  concurrency integer,
  rate_limit integer,
  rate_per_ms double precision,
  rate_burst integer,
  key_concurrency integer,
  key_rate_limit integer,
  key_rate_per_ms double precision,
  key_rate_burst integer,
  key_order boolean not null default false,
  fairness boolean not null default false,
  priority boolean not null default false,
  paused boolean not null default false,
  paused_jobs text[] not null default '{}',
  keyed boolean not null default false,
  declared jsonb,
  changed_at timestamptz not null default clock_timestamp(),
  governed_at timestamptz not null default clock_timestamp(),
  governed boolean not null generated always as (
    num_nonnulls(concurrency, rate_limit, key_concurrency, key_rate_limit) > 0
      or key_order or fairness or priority or paused or keyed or paused_jobs <> '{}'
  ) stored,
  watched boolean not null generated always as (
    num_nonnulls(rate_limit, key_rate_limit) > 0 or paused or keyed or paused_jobs <> '{}'
  ) stored,
  constraint queue_policies_counts check (concurrency >= 1 and key_concurrency >= 1),
  constraint queue_policies_rate check (
    num_nonnulls(rate_limit, rate_per_ms, rate_burst) in (0, 3) and rate_limit >= 1 and rate_per_ms > 0 and rate_burst >= 1),
  constraint queue_policies_key_rate check (
    num_nonnulls(key_rate_limit, key_rate_per_ms, key_rate_burst) in (0, 3)
      and key_rate_limit >= 1 and key_rate_per_ms > 0 and key_rate_burst >= 1)
) with (fillfactor = 70);

comment on column queue_policies.rate_per_ms is 'The span of rate_limit in milliseconds.';
comment on column queue_policies.keyed is 'Single keys of it have limits of their own or are paused: queue_key_policies.';
comment on column queue_policies.declared is 'The policy that code declared last; what people changed since stays until code declares another one.';
comment on column queue_policies.governed is 'Its jobs wait in the ledger until a dispatcher lets them go.';
comment on column queue_policies.watched is 'A claim of it must look at more than the job: pauses, or a rate that counts starts.';

-- What single keys may do instead of what the queue says for each key.
create table queue_key_policies (
  queue text not null,
  key text not null,
  concurrency integer,
  rate_limit integer,
  rate_per_ms double precision,
  rate_burst integer,
  paused boolean not null default false,
  primary key (queue, key),
  constraint queue_key_policies_counts check (concurrency >= 1),
  constraint queue_key_policies_rate check (
    num_nonnulls(rate_limit, rate_per_ms, rate_burst) in (0, 3) and rate_limit >= 1 and rate_per_ms > 0 and rate_burst >= 1)
);

-- Whose turn it is. Its row's lock is the right to release jobs of the queue, and to change its policy.
create table queue_turns (
  queue text primary key,
  tokens double precision,
  tokens_at timestamptz,
  -- Jobs that were released and unfinished after the last round, and how fast such jobs finish (jobs a second).
  outstanding integer not null default 0,
  looked_at timestamptz,
  flow double precision not null default 0,
  -- The key that was served last.
  turn text,
  -- Where a search that found too little in its steps goes on.
  resume_level integer,
  resume_key text,
  resume_phase smallint
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Tokens of each key of a queue with a rate per key. A key without a row has a full bucket.
create table queue_buckets (
  queue text not null,
  key text not null,
  tokens double precision not null,
  tokens_at timestamptz not null,
  full_at timestamptz not null,
  primary key (queue, key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Jobs that started since the dispatchers last looked, of queues with a rate. Inserted by claims, so that these need not wait for each
-- other; taken out by whoever holds the queue's turn.
create table queue_starts (
  queue text not null,
  key text not null,
  starts integer not null,
  at timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create index queue_starts_queue on queue_starts (queue);

alter table jobs
  drop constraint jobs_gate_known,
  add constraint jobs_gate_known check (gate between 0 and 4);
comment on column jobs.gate is '0: direct. 1: waits in the ledger until a dispatcher releases it. 2: released, ready or running. 3: has begun and waits again, for a time, a breaker or its next release; keeps its key from others where order is strict. 4: set aside, its name or key is paused.';

-- Jobs that wait for their release have indexes of their own instead of those of jobs on their way to a worker.
drop index jobs_ready;
create index jobs_ready on jobs (queue, run_at) where state = 'ready' and held_by is null and gate in (0, 2);
drop index jobs_unsent;
create index jobs_unsent on jobs (send_after) where state = 'ready' and held_by is null and sent_at is null and gate in (0, 2);

-- Whose turn it is in a queue, and in a queue with turns between keys.
create index jobs_waiting on jobs (queue, (-priority), run_at, id)
  where state = 'ready' and held_by is null and gate in (1, 3);
create index jobs_waiting_keys on jobs (queue, (-priority), (coalesce(limit_key, '') collate "C"), run_at, id)
  where state = 'ready' and held_by is null and gate in (1, 3);
-- What counts against the limits.
create index jobs_released on jobs (queue, (coalesce(limit_key, '') collate "C")) where gate = 2;
-- Which keys have a job that has begun and is not finished.
create index jobs_begun on jobs (queue, (coalesce(limit_key, '') collate "C")) where gate = 3;
create index jobs_set_aside on jobs (queue, name, (coalesce(limit_key, '') collate "C")) where gate = 4;
