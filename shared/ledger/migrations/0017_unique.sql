-- Which job holds a unique key of a job name. Read lazily: a row whose job has started (until 'started'), has finished (until
-- 'finished') or whose time is over holds nothing any more, and the next job takes it over.
create table unique_keys (
  name text not null,
  key text not null,
  job_id uuid not null,
  until text not null,
  expires_at timestamptz,
  successor jsonb,
  created_at timestamptz not null default statement_timestamp(),
  constraint unique_keys_until_known check (until in ('started', 'finished', 'expired')),
  constraint unique_keys_expired_has_time check ((until = 'expired') = (expires_at is not null)),
  primary key (name, key)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index unique_keys_job on unique_keys (job_id);
create index unique_keys_expiry on unique_keys (expires_at) where expires_at is not null;

comment on column unique_keys.successor is 'The job, as enqueue would insert it, that runs after this one has finished: the latest that came while it ran.';
