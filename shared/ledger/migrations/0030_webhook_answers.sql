-- Challenges of providers (URL validations, pings) are answered and kept; they are no events and make no job.

-- What is stored satisfied the narrower rule, so nothing needs to be read again.
alter table webhook_requests
  drop constraint webhook_requests_status_known,
  add constraint webhook_requests_status_known check (status in ('accepted', 'duplicate', 'rejected', 'answered')) not valid;
