-- Deliveries: one row a job and channel, written before the provider is called and settled after its answer, because most providers
-- take no idempotency key. Partitioned by the time in the job's id (UUIDv7), so that retention drops partitions.
create table deliveries (
  job_id uuid not null,
  started_at timestamptz not null default statement_timestamp(),
  created_at timestamptz not null default statement_timestamp(),
  settled_at timestamptz,
  attempt integer not null,
  tries integer not null default 1,
  doubts integer not null default 0,
  doubted_by integer,
  template_version integer not null,
  channel text not null,
  state text not null,
  policy text not null,
  template text not null,
  locale text not null,
  provider text not null,
  recipient text not null,
  recipient_hash bytea not null,
  message_id text not null,
  provider_id text,
  response text,
  reason text,
  correlation_id text not null,
  log jsonb not null default '[]',
  constraint deliveries_state_known check (state in ('sending', 'accepted', 'rejected', 'deferred', 'unknown', 'given_up')),
  constraint deliveries_policy_known check (policy in ('resend', 'hold', 'give_up')),
  constraint deliveries_sending_is_open check (state <> 'sending' or settled_at is null),
  primary key (job_id, channel)
) partition by range (job_id);
create table deliveries_default partition of deliveries default with (fillfactor = 80);

comment on column deliveries.attempt is 'The job''s attempt that tried last: the fence of its settlement.';
comment on column deliveries.state is 'deferred: surely not delivered, the job tries again. unknown: nobody knows, a person decides. given_up: nobody knows, and the policy is to leave it.';
comment on column deliveries.doubts is 'Tries whose outcome nobody knows: each may have reached the recipient.';
comment on column deliveries.doubted_by is 'The attempt that last found its predecessor lost between sending and settling.';
comment on column deliveries.recipient is 'Masked: enough to recognise, not enough to write to.';
comment on column deliveries.recipient_hash is 'Keyed hash of the address, to find everything that went to one address.';
comment on column deliveries.log is 'The last ten tries: attempt, at, outcome, reason, response.';

-- Everything that went to one address (support, erasure requests).
create index deliveries_recipient on deliveries (recipient_hash);
-- What waits for a person.
create index deliveries_unknown on deliveries (started_at) where state = 'unknown';
