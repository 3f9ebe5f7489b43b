-- What a source of webhooks with a rate limit may still take. Unlogged: after a crash of the database the buckets are full again.
create unlogged table webhook_source_buckets (
  source text primary key,
  tokens double precision not null,
  granted integer not null,
  filled_at timestamptz not null
) with (fillfactor = 50);
comment on column webhook_source_buckets.granted is 'What the last statement took, for its own answer.';
