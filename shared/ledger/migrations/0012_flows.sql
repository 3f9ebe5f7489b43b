-- Flows: jobs that depend on each other. A plain job touches none of this.

create table flows (
  id uuid primary key,
  created_at timestamptz not null default statement_timestamp(),
  stopped_at timestamptz,
  finished_at timestamptz,
  runs integer not null default 1,
  state text not null,
  cause text,
  name text not null,
  flow_key text,
  reason text,
  failed_node text,
  stopped_by text,
  correlation_id text not null,
  trace text,
  on_finished jsonb,
  constraint flows_state_known check (state in
    ('running', 'stopping', 'compensating', 'succeeded', 'failed', 'compensated', 'compensation_failed', 'cancelled')),
  constraint flows_cause_known check (cause in ('failed', 'cancelled')),
  constraint flows_end_whole check ((finished_at is null) = (state in ('running', 'stopping', 'compensating')))
);
comment on column flows.state is 'stopping: it has failed or was cancelled, and waits for its running jobs to end.';
comment on column flows.cause is 'Why it stopped; stays when it is compensated.';
comment on column flows.runs is 'How often it was started: 1, and one more for each retry.';

-- The same name and key is the same flow.
create unique index flows_key on flows (name, flow_key) where flow_key is not null;
-- What waits for running jobs to notice that their flow is over.
create index flows_stopping on flows (id) where state = 'stopping';
create index flows_finished on flows (finished_at) where finished_at is not null;

-- One row a job of a flow. While it is open, only who holds the job's own row writes it.
create table flow_nodes (
  job_id uuid primary key,
  flow_id uuid not null,
  added_by uuid,
  done_seq bigint,
  finished_at timestamptz,
  delay_ms double precision,
  position integer not null,
  eager boolean not null default false,
  state text not null default 'open',
  on_failure text not null,
  name text not null,
  definition text not null,
  queue text not null,
  reason text,
  payload_form text,
  breakers text[] not null default '{}',
  compensation jsonb,
  payload jsonb,
  result jsonb,
  constraint flow_nodes_state_known check (state in ('open', 'succeeded', 'failed', 'cancelled', 'skipped')),
  constraint flow_nodes_policy_known check (on_failure in ('fail', 'ignore', 'continue'))
);
comment on column flow_nodes.done_seq is 'Order of completion: a job starts after those it depends on have theirs.';
comment on column flow_nodes.added_by is 'The job that added this one while it ran.';
comment on column flow_nodes.payload is 'Kept from completion on for its compensation, which may outlive the history.';

create unique index flow_nodes_name on flow_nodes (flow_id, name);
-- Whether a flow has anything left to do.
create index flow_nodes_open on flow_nodes (flow_id) where state = 'open';

-- Not cached by sessions: its order is the order of completion.
create sequence flow_completions cache 1;

-- Who waits for whom. Each edge is its own row, so that ten thousand jobs that end at once do not meet at one.
create table flow_edges (
  child_id uuid not null,
  parent_id uuid not null,
  kind text not null,
  blocking boolean not null,
  failed boolean not null default false,
  constraint flow_edges_kind_known check (kind in ('after', 'child')),
  primary key (child_id, parent_id)
);
comment on column flow_edges.kind is 'after: child_id runs after parent_id. child: child_id has added parent_id, and waits for it only if it asks to.';
comment on column flow_edges.blocking is 'Until the parent has succeeded, or failed where that is ignored.';

create index flow_edges_parent on flow_edges (parent_id);
-- What still holds a job back; the first entry answers.
create index flow_edges_blocking on flow_edges (child_id) where blocking;
create index flow_edges_failed on flow_edges (child_id) where failed;

-- What has happened in flows and has not been followed up: written with the event itself, deleted with its consequences.
create table flow_signals (
  id bigint generated always as identity primary key,
  flow_id uuid not null,
  job_id uuid not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create index flow_signals_flow on flow_signals (flow_id, job_id);

-- Compensations of a flow, in the order in which they run: one at a time, the latest completion first.
create table flow_undos (
  node_id uuid primary key,
  flow_id uuid not null,
  job_id uuid,
  position integer not null,
  state text not null default 'waiting',
  reason text,
  constraint flow_undos_state_known check (state in ('waiting', 'started', 'done', 'failed'))
);
create unique index flow_undos_order on flow_undos (flow_id, position);
create unique index flow_undos_job on flow_undos (job_id) where job_id is not null;
