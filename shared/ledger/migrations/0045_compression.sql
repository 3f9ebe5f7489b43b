-- What is large is compressed by lz4, where the server has it: its own method takes about a millisecond of CPU for 50 KB, twenty times as
-- long, and nothing of a body may wait for that before its sender is answered. Without lz4, bodies of requests stay as they are.
-- Only what is written from now on; days to come take after their parent.
do $$
declare
  has_lz4 constant boolean := exists (
    select from pg_catalog.pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)
  );
  large record;
begin
  for large in
    select a.attrelid::regclass as of_table, a.attname as name, c.relname like 'webhook\_requests%' and a.attname = 'body' as is_request_body
    from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
    where c.relnamespace = current_schema::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
      and a.attstorage in ('x', 'm')
      and (a.atttypid in ('jsonb'::regtype, 'json'::regtype, 'bytea'::regtype) or a.attname = 'body')
  loop
    if has_lz4 then
      execute format('alter table %s alter column %I set compression lz4', large.of_table, large.name);
    elsif large.is_request_body then
      execute format('alter table %s alter column %I set storage external', large.of_table, large.name);
    end if;
  end loop;
end $$;
