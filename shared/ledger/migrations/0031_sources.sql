-- Sources of webhooks that people make at run time.

create table webhook_sources (
  id uuid primary key,
  name text not null unique,
  provider text not null,
  enabled boolean not null default true,
  settings jsonb not null,
  revision integer not null default 1,
  created_at timestamptz not null default statement_timestamp(),
  updated_at timestamptz not null default statement_timestamp()
);
comment on column webhook_sources.settings is 'Options of the provider, limits, content types, answer; never a secret.';
comment on column webhook_sources.revision is 'Grows with every change of the source or of its secrets.';

create table webhook_source_secrets (
  id uuid primary key,
  source_id uuid not null references webhook_sources on delete cascade,
  sealed text not null,
  not_before timestamptz,
  not_after timestamptz,
  created_at timestamptz not null default statement_timestamp(),
  constraint webhook_source_secrets_period check (not_before < not_after)
);
create index webhook_source_secrets_source on webhook_source_secrets (source_id);
comment on column webhook_source_secrets.sealed is
  'By `sealText` for "webhook-source/<source id>/secret/<id>": opens with the key ring only, and in this row only.';

-- One row. Every ingress asks for the version once a second, and reads the sources when it has grown.
create table webhook_sources_state (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 0
) with (fillfactor = 50);
insert into webhook_sources_state default values;

create function webhook_sources_changed() returns trigger language plpgsql set search_path from current as $$
begin
  update webhook_sources_state set version = version + 1;
  return null;
end $$;
create trigger webhook_sources_changed after insert or update or delete or truncate on webhook_sources
for each statement execute function webhook_sources_changed();
create trigger webhook_source_secrets_changed after insert or update or delete or truncate on webhook_source_secrets
for each statement execute function webhook_sources_changed();
