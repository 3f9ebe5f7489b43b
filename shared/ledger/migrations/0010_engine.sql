-- What the rest of the engine hangs on a job: limits, uniqueness, flows, schedules, search, cancelling of running jobs. All of it
-- is null or false for a plain job, and no index here holds a plain job.
alter table jobs
  add column gate smallint not null default 0,
  add column linked boolean not null default false,
  add column flow_id uuid,
  add column limit_key text,
  add column unique_key text,
  add column schedule text,
  add column payload_form text,
  add column attributes jsonb,
  add column cancel_requested_at timestamptz,
  add column cancel_reason text,
  add column cancelled_by text,
  drop constraint jobs_state_known,
  add constraint jobs_state_known check (state in ('blocked', 'scheduled', 'ready', 'running', 'retrying')),
  add constraint jobs_gate_known check (gate between 0 and 2);

comment on column jobs.gate is '0: direct. 1: waits in the ledger until a dispatcher releases it. 2: released.';
comment on column jobs.linked is 'Its end has follow-ups (flow, uniqueness), which are part of the transaction that ends it.';
comment on column jobs.limit_key is 'The key that limits, order and fairness go by.';
comment on column jobs.payload_form is 'How payload is to be read; null: plain JSON.';
comment on column jobs.attributes is 'Fields chosen for search, plain even where the payload is sealed.';

alter table jobs_history
  add column linked boolean not null default false,
  add column flow_id uuid,
  add column limit_key text,
  add column unique_key text,
  add column schedule text,
  add column payload_form text,
  add column attributes jsonb,
  add column cancel_requested_at timestamptz,
  add column cancel_reason text,
  add column cancelled_by text;
