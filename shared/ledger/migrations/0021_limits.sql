-- Released jobs have an index of their own, jobs_released, which is short: no more are released than workers can use. So their release
-- need not write the indexes of direct jobs as well.
drop index jobs_ready;
create index jobs_ready on jobs (queue, run_at) where state = 'ready' and held_by is null and gate = 0;
drop index jobs_unsent;
create index jobs_unsent on jobs (send_after) where state = 'ready' and held_by is null and sent_at is null and gate = 0;
