-- Search by chosen fields, and what is needed to look after sealed payloads. No index here holds a plain job.
create index jobs_attributes on jobs using gin (attributes jsonb_path_ops) where attributes is not null;
create index jobs_history_attributes on jobs_history using gin (attributes jsonb_path_ops) where attributes is not null;

-- Sealed payloads of unfinished jobs, in id order, for the rotation of keys.
create index jobs_sealed on jobs (id) where payload_form is not null;

-- Which row an object of the payload store belongs to. Objects of results are found by the job's id.
create index jobs_objects on jobs ((payload ->> 'object')) where payload_form is not null;
create index jobs_history_objects on jobs_history ((payload ->> 'object')) where payload_form is not null;
create index unique_keys_objects on unique_keys ((successor -> 'payload' ->> 'object')) where successor is not null;

-- How far the sweep of unreferenced objects has come, one row a store; dispatchers take turns.
create table payload_sweeps (
  store text primary key,
  owner uuid not null default gen_random_uuid(),
  position text,
  taken_until timestamptz not null,
  finished_at timestamptz
);

comment on column payload_sweeps.owner is 'Written into the store: the sweep of another ledger stops there.';
