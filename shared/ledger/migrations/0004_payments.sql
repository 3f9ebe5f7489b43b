-- What payment providers have confirmed: payments and refunds. Kept for good; a row only ever moves forward.
create table payments (
  provider text not null,
  object_id text not null,
  kind text not null,
  payment_id text not null,
  status text not null,
  amount numeric(20, 4) not null,
  currency text not null,
  test boolean not null,
  description text,
  reason text,
  metadata jsonb not null default '{}',
  occurred_at timestamptz not null,
  recorded_at timestamptz not null default statement_timestamp(),
  updated_at timestamptz not null default statement_timestamp(),
  job_id uuid not null,
  correlation_id text not null,
  log jsonb not null,
  constraint payments_kind_known check (kind in ('payment', 'refund')),
  constraint payments_status_known check (status in ('pending', 'waiting_for_capture', 'succeeded', 'canceled')),
  primary key (provider, object_id)
);
create index payments_of_refunds on payments (provider, payment_id) where kind = 'refund';

comment on column payments.payment_id is 'Of a refund: the payment it gives back. Of a payment: its own id.';
comment on column payments.occurred_at is 'When the provider says it reached this status.';
comment on column payments.job_id is 'The job that moved it to this status.';
comment on column payments.log is 'Every status it was seen to reach: status, at, job.';
