import type { Row } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";

/** A source of webhooks made at run time, as it is kept. */
export interface SourceRecord {
  /** UUIDv7; never that of an earlier source of the same name. */
  readonly id: string;
  readonly name: string;
  readonly provider: string;
  readonly enabled: boolean;
  /** Everything else but the secrets; its owner knows the shape. */
  readonly settings: unknown;
  /** Grows with every change of the source or of its secrets. */
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** In the order they were made. */
  readonly secrets: readonly SourceSecretRecord[];
}

export interface SourceSecretRecord {
  readonly id: string;
  /** What the ledger is given: it never sees a secret in clear. */
  readonly sealed: string;
  readonly notBefore: Date | undefined;
  readonly notAfter: Date | undefined;
  readonly createdAt: Date;
}

export type NewSourceSecret = Omit<SourceSecretRecord, "createdAt">;

export interface NewSource {
  readonly id: string;
  readonly name: string;
  readonly provider: string;
  readonly enabled: boolean;
  readonly settings: unknown;
  readonly secrets: readonly NewSourceSecret[];
}

/** What is left out stays as it is. */
export interface SourceChange {
  readonly enabled?: boolean;
  readonly settings?: unknown;
  readonly addSecrets?: readonly NewSourceSecret[];
  /** Secrets that are good until then, and no longer. */
  readonly endSecrets?: readonly { readonly id: string; readonly notAfter: Date }[];
  readonly removeSecrets?: readonly string[];
}

/** Sources at run time. Every method throws a `LedgerError`. */
export interface SourceStore {
  /** Grows with every change of any source. One row. */
  version(): Promise<number>;
  /** All sources by name, and the version that they are of. */
  load(): Promise<{ readonly version: number; readonly sources: readonly SourceRecord[] }>;
  find(name: string): Promise<SourceRecord | undefined>;
  /** `undefined`: the name is taken. */
  create(source: NewSource): Promise<SourceRecord | undefined>;
  /**
   * Changes a source under a lock on its row: `decide` sees it as it is, and what it throws changes nothing. `undefined`: there is none.
   */
  change(name: string, decide: (source: SourceRecord) => SourceChange): Promise<SourceRecord | undefined>;
  /** Answers whether there was one. */
  remove(name: string): Promise<boolean>;
}

interface SourceLedger {
  readonly table: TableName;
  readonly query: RunSql;
  readonly transaction: <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;
}

export function createSourceStore({ table, query, transaction }: SourceLedger): SourceStore {
  const sources = table("webhook_sources");
  const secrets = table("webhook_source_secrets");
  const state = table("webhook_sources_state");

  const columns = `s.id, s.name, s.provider, s.enabled, s.settings, s.revision, s.created_at, s.updated_at,
    (select coalesce(json_agg(json_build_object(
        'id', k.id, 'sealed', k.sealed, 'notBefore', k.not_before, 'notAfter', k.not_after, 'createdAt', k.created_at
      ) order by k.id), '[]')
      from ${secrets} k where k.source_id = s.id) as secrets`;

  // Locks nothing. Reads one row.
  const versionSql = `select version from ${state}`;
  // Locks nothing. One statement: the version is that of these rows. Index: webhook_source_secrets_source.
  const loadSql = `select v.version, ${columns} from ${state} v left join ${sources} s on true order by s.name`;
  // Index: webhook_sources (name).
  const findSql = `select ${columns} from ${sources} s where s.name = $1`;
  // Locks the row: changes of one source come one after the other. Index: webhook_sources (name).
  const lockSql = `select id from ${sources} where name = $1 for update`;
  const insertSql = `insert into ${sources} (id, name, provider, enabled, settings) values ($1, $2, $3, $4, $5::text::jsonb)
    on conflict (name) do nothing returning id`;
  const insertSecretsSql = `insert into ${secrets} (id, source_id, sealed, not_before, not_after)
    select i.id, $1, i.sealed, i.not_before, i.not_after
    from json_to_recordset($2::text::json) as i(id uuid, sealed text, not_before timestamptz, not_after timestamptz)`;
  const updateSql = `update ${sources} set enabled = coalesce($2, enabled), settings = coalesce($3::text::jsonb, settings),
    revision = revision + 1, updated_at = clock_timestamp() where id = $1`;
  // Index: primary key. The source's row is locked.
  const endSql = `update ${secrets} k set not_after = i.not_after
    from json_to_recordset($2::text::json) as i(id uuid, not_after timestamptz) where k.id = i.id and k.source_id = $1`;
  const removeSecretsSql = `delete from ${secrets} where source_id = $1 and id = any ($2::uuid[])`;
  // Its secrets go with it. Index: webhook_sources (name).
  const removeSql = `delete from ${sources} where name = $1 returning id`;

  const findIn = async (run: RunSql, name: string): Promise<SourceRecord | undefined> => {
    const [row] = (await run(findSql, [name])).rows;
    return row === undefined ? undefined : recordOf(row);
  };
  const addSecrets = async (run: RunSql, id: string, added: readonly NewSourceSecret[]): Promise<void> => {
    if (added.length === 0) return;
    const rows = added.map((secret) => ({
      id: secret.id,
      sealed: secret.sealed,
      not_before: secret.notBefore ?? null,
      not_after: secret.notAfter ?? null,
    }));
    await run(insertSecretsSql, [id, JSON.stringify(rows)]);
  };

  return {
    async version() {
      return Number((await query(versionSql, [])).rows[0]?.["version"]);
    },
    async load() {
      const { rows } = await query(loadSql, []);
      return {
        version: Number(rows[0]?.["version"]),
        sources: rows.filter((row) => row["id"] !== null).map(recordOf),
      };
    },
    find: (name) => findIn(query, name),
    create: ({ id, name, provider, enabled, settings, secrets: added }) =>
      transaction(async (run) => {
        const { rows } = await run(insertSql, [id, name, provider, enabled, JSON.stringify(settings)]);
        if (rows.length === 0) return undefined;
        await addSecrets(run, id, added);
        return findIn(run, name);
      }),
    change: (name, decide) =>
      transaction(async (run) => {
        if ((await run(lockSql, [name])).rows.length === 0) return undefined;
        const before = await findIn(run, name);
        if (before === undefined) return undefined;
        const { id } = before;
        const { enabled, settings, addSecrets: added = [], endSecrets = [], removeSecrets = [] } = decide(before);
        if (removeSecrets.length > 0) await run(removeSecretsSql, [id, removeSecrets]);
        if (endSecrets.length > 0) {
          const ends = endSecrets.map((secret) => ({ id: secret.id, not_after: secret.notAfter }));
          await run(endSql, [id, JSON.stringify(ends)]);
        }
        await addSecrets(run, id, added);
        await run(updateSql, [id, enabled ?? null, settings === undefined ? null : JSON.stringify(settings)]);
        return findIn(run, name);
      }),
    async remove(name) {
      return (await query(removeSql, [name])).rows.length > 0;
    },
  };
}

interface SecretJson {
  readonly id: string;
  readonly sealed: string;
  readonly notBefore: string | null;
  readonly notAfter: string | null;
  readonly createdAt: string;
}

const dateOf = (text: string | null): Date | undefined => (text === null ? undefined : new Date(text));

function recordOf(row: Row): SourceRecord {
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    provider: String(row["provider"]),
    enabled: row["enabled"] === true,
    settings: row["settings"],
    revision: Number(row["revision"]),
    createdAt: row["created_at"] as Date,
    updatedAt: row["updated_at"] as Date,
    secrets: (row["secrets"] as readonly SecretJson[]).map(({ id, sealed, notBefore, notAfter, createdAt }) => ({
      id,
      sealed,
      notBefore: dateOf(notBefore),
      notAfter: dateOf(notAfter),
      createdAt: new Date(createdAt),
    })),
  };
}
