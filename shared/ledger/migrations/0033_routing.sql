-- Routing of webhooks: rules that people change at run time, and what rules made of each event.

create table routing_rules (
  id uuid primary key,
  name text not null unique,
  enabled boolean not null default true,
  -- Null: events of every source.
  source text,
  rule jsonb not null,
  revision integer not null default 1,
  created_at timestamptz not null default statement_timestamp(),
  updated_at timestamptz not null default statement_timestamp()
);
comment on column routing_rules.rule is 'What it takes, filters, changes and makes: `ruleBody` of @warren/contracts.';

-- One row. Every process asks for the version once a second, and reads the rules when it has grown.
create table routing_state (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 0
) with (fillfactor = 50);
insert into routing_state default values;

create function routing_rules_changed() returns trigger language plpgsql set search_path from current as $$
begin
  update routing_state set version = version + 1;
  return null;
end $$;
create trigger routing_rules_changed after insert or update or delete or truncate on routing_rules
for each statement execute function routing_rules_changed();

alter table webhook_requests
  add column routing text,
  add column routes jsonb,
  add constraint webhook_requests_routing_known check (routing in ('unmatched', 'failed')) not valid;
comment on column webhook_requests.routing is 'Null: every rule did its work. `unmatched`: nothing came of the event. `failed`: a rule failed, see routes.';
comment on column webhook_requests.routes is 'What each rule made, or why it failed; null where only rules in code made plain jobs.';

-- What people look for: events that went nowhere, and those whose rules failed. Costs routed requests nothing.
create index webhook_requests_routing on webhook_requests (source, id) where routing is not null;
