-- A replayed event keeps its correlation id. AMQP carries it as a property, so it is in no header.
alter table dead_letters add column correlation_id text;
