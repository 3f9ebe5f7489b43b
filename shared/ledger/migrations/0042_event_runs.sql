-- What each rule made in a run, so that the next one knows what is there.
alter table webhook_event_runs add column routes jsonb;
comment on column webhook_event_runs.routes is 'As webhook_requests.routes; null where only rules in code made jobs.';
