-- Events: the outbox of those published inside a transaction, the inbox of those handled exactly once, and what a dead event needs to
-- be replayed. Names are unqualified: the runner puts the schema on the search path of this transaction.

-- Written in the publisher's transaction, deleted when the broker has confirmed: the table holds only what is not sent yet.
create table event_outbox (
  position bigint generated always as identity primary key,
  event_id text not null,
  -- Which exchange: `events` (every subscriber) or `dead` (announcements of dead jobs).
  topic text not null default 'events',
  type text not null,
  ordering_key text,
  -- Not before then may another dispatcher send this row: the lease of whoever took it.
  send_after timestamptz not null default statement_timestamp(),
  created_at timestamptz not null default statement_timestamp(),
  correlation_id text,
  headers jsonb not null,
  body text not null,
  constraint event_outbox_topic_known check (topic in ('events', 'dead'))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- What may be sent in any order, oldest first.
create index event_outbox_free on event_outbox (position) where ordering_key is null;
-- The heads of the ordered lines, by hops over the keys.
create index event_outbox_ordered on event_outbox (ordering_key, position) where ordering_key is not null;

-- Which events a subscription has handled. The row is written in the handler's own transaction.
create table event_inbox (
  subscription text not null,
  event_id text not null,
  handled_at timestamptz not null default statement_timestamp(),
  primary key (subscription, event_id)
);
-- Rows arrive in order of time, so a block range index finds the old ones for next to nothing.
create index event_inbox_handled on event_inbox using brin (handled_at);

-- A dead event is one subscription's dead letter.
alter table dead_letters
  add column subscription text,
  add column event_id text,
  add column event_type text,
  -- Not before then may another replay take this letter.
  add column replay_after timestamptz,
  add column replayed_at timestamptz,
  add column replays integer not null default 0;
create index dead_letters_subscription on dead_letters (subscription, received_at, id) where subscription is not null;

-- Dead jobs are announced as events `job.dead.<queue>`. A trigger, so that no way to die can forget it, and in the transaction in which
-- the job dies, so that an announcement is neither lost nor made for a death that was rolled back. Other jobs pay one comparison.
create function announce_dead_job() returns trigger
language plpgsql set search_path from current as $$
declare
  last_error jsonb := new.errors -> -1;
  event_type text := 'job.dead.' || new.queue;
  event_id text := new.id || '/dead/' || new.attempt;
begin
  insert into event_outbox (event_id, topic, type, correlation_id, headers, body)
  values (
    event_id, 'dead', event_type, new.correlation_id,
    jsonb_strip_nulls(jsonb_build_object(
      'cloudEvents_specversion', '1.0',
      'cloudEvents_id', event_id,
      'cloudEvents_type', event_type,
      'cloudEvents_source', 'warren',
      'cloudEvents_subject', new.id,
      'cloudEvents_time', to_char(new.finished_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'cloudEvents_dataversion', 1,
      'traceparent', new.trace
    )),
    jsonb_build_object(
      'jobId', new.id, 'name', new.name, 'version', new.version, 'queue', new.queue, 'reason', new.reason,
      'attempt', new.attempt - new.excused, 'error', jsonb_build_object('code', last_error ->> 'code', 'message', last_error ->> 'message')
    )::text
  );
  return null;
end $$;

-- Old rows that retention moves to the default partition are no news.
create trigger jobs_history_dead after insert on jobs_history
for each row when (new.state = 'dead' and new.finished_at > statement_timestamp() - interval '1 hour')
execute function announce_dead_job();
