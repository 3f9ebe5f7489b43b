import type { TableName } from "../postgres/sql.ts";

/** Statements of endpoints. They lock one row by its primary key unless they say otherwise. */
export function endpointStatements(table: TableName) {
  const endpoints = table("webhook_endpoints");
  const secrets = table("webhook_endpoint_secrets");
  const health = table("webhook_endpoint_health");
  const view = `select e.id, e.url, e.event_types, e.settings, e.sealed, e.state, e.disabled_reason, e.disabled_at, e.revision, e.created_at,
      e.updated_at, h.failing_since, h.last_success_at, h.last_failure_at,
      (select coalesce(json_agg(json_build_object('id', s.id, 'kind', s.kind, 'publicKey', s.public_key, 'sealed', s.sealed,
          'createdAt', s.created_at, 'expiresAt', s.expires_at) order by s.created_at desc, s.id desc), '[]')
        from ${secrets} s
        where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > statement_timestamp())) as secrets
    from ${endpoints} e left join ${health} h on h.endpoint_id = e.id`;

  return {
    insert: `with made as (
        insert into ${endpoints} (id, url, event_types, settings, sealed) values ($1, $2, $3, $4, $5) returning id
      ), health as (
        insert into ${health} (endpoint_id) select id from made
      )
      insert into ${secrets} (id, endpoint_id, kind, public_key, sealed) select $6, id, $7, $8, $9 from made`,

    // compares the revision, so that two people who change it at once do not undo each other
    update: `update ${endpoints} set url = $3, event_types = $4, settings = $5, sealed = $6, revision = revision + 1,
        updated_at = statement_timestamp()
      where id = $1 and revision = $2 returning id`,

    enable: `with enabled as (
        update ${endpoints} set state = 'enabled', disabled_reason = null, disabled_at = null, revision = revision + 1,
          updated_at = statement_timestamp()
        where id = $1 returning id
      ), health as (
        update ${health} set failing_since = null, outages = 0 where endpoint_id in (select id from enabled)
      )
      select id from enabled`,

    disable: `update ${endpoints} set state = 'disabled', disabled_reason = $2, disabled_at = statement_timestamp(),
        revision = revision + 1, updated_at = statement_timestamp()
      where id = $1 and state = 'enabled' returning id`,

    remove: `delete from ${endpoints} where id = $1 returning id`,

    // primary key
    find: `${view} where e.id = $1`,

    // primary key, backwards
    list: `${view} where ($1::uuid is null or e.id < $1) order by e.id desc limit $2`,

    // index: webhook_endpoints_enabled
    enabled: `select id, event_types from ${endpoints} where state = 'enabled' order by id`,

    lock: `select id from ${endpoints} where id = $1 for update`,

    // the others go on for a while, those that had to end sooner end sooner
    expireSecrets: `update ${secrets}
      set expires_at = least(coalesce(expires_at, 'infinity'), statement_timestamp() + $2::double precision * interval '1 millisecond')
      where endpoint_id = $1`,

    addSecret: `insert into ${secrets} (id, endpoint_id, kind, public_key, sealed) values ($1, $2, $3, $4, $5)`,

    // index: webhook_endpoint_secrets_endpoint
    forgetSecrets: `delete from ${secrets} where endpoint_id = $1 and expires_at <= statement_timestamp()`,
  } as const;
}
