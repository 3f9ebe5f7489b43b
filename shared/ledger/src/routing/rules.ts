import { LedgerConflictError, LedgerDataError } from "../errors.ts";
import type { Ledger } from "../ledger.ts";

/** A routing rule as it is kept. What `rule` holds is its readers' business. */
export interface RuleRecord {
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
  /** `undefined`: of every source. */
  readonly source: string | undefined;
  readonly rule: unknown;
  /** Grows with each change. */
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export type NewRuleRecord = Pick<RuleRecord, "id" | "name" | "enabled" | "source" | "rule">;

/** Why a rule was not written. */
export type RuleRefusal = "name_taken" | "full" | "unknown" | "changed";

/** Rules that people change at run time. */
export interface RoutingRules {
  /** Grows with every change of any rule, as text: a bigint. Reads one row. */
  version(): Promise<string>;
  /** All enabled rules by name, and a version that they are at least as new as. */
  enabled(): Promise<{ readonly version: string; readonly rules: readonly RuleRecord[] }>;
  /** By name, after `afterName`. */
  list(page: { readonly limit: number; readonly afterName: string | undefined }): Promise<readonly RuleRecord[]>;
  find(id: string): Promise<RuleRecord | undefined>;
  create(rule: NewRuleRecord): Promise<RuleRecord | RuleRefusal>;
  /** Writes all of it, if it still has the revision. */
  replace(rule: NewRuleRecord & { readonly revision: number }): Promise<RuleRecord | RuleRefusal>;
  /** Answers whether it was there. */
  remove(id: string): Promise<boolean>;
}

/** Each process keeps all of them in memory, and asks each about each event of its source. */
export const mostRules = 1_000;

const columns = "id, name, enabled, source, rule, revision, created_at, updated_at";

export function createRoutingRules({ table, query }: Pick<Ledger, "table" | "query">): RoutingRules {
  const rules = table("routing_rules");
  // One row. Locks nothing.
  const version = `select version::text from ${table("routing_state")}`;
  // The version first, in a snapshot that is no younger than that of the rules: what changes in between is read once more.
  const enabled = `select ${columns} from ${rules} where enabled order by name`;
  const list = `select ${columns} from ${rules} where $2::text is null or name > $2 order by name limit $1`;
  const find = `select ${columns} from ${rules} where id = $1`;
  // Two at once may exceed the bound by one.
  const create = `insert into ${rules} (id, name, enabled, source, rule)
    select $1, $2, $3, $4, $5::text::jsonb where (select count(*) from ${rules}) < ${mostRules}
    on conflict (name) do nothing returning ${columns}`;
  // Locks the rule. Index: primary key.
  const replace = `update ${rules} set name = $2, enabled = $3, source = $4, rule = $5::text::jsonb, revision = revision + 1,
      updated_at = clock_timestamp()
    where id = $1 and revision = $6 returning ${columns}`;
  const remove = `delete from ${rules} where id = $1 returning id`;

  const rowsOf = async (text: string, values: readonly unknown[]) => (await query(text, values)).rows;
  const isNamed = async (name: string): Promise<boolean> =>
    (await rowsOf(`select from ${rules} where name = $1`, [name])).length > 0;

  async function find1(id: string): Promise<RuleRecord | undefined> {
    const [row] = await rowsOf(find, [id]);
    return row === undefined ? undefined : recordOf(row);
  }

  return {
    version: async () => String((await rowsOf(version, []))[0]?.["version"]),
    enabled: async () => {
      const [state] = await rowsOf(version, []);
      return { version: String(state?.["version"]), rules: (await rowsOf(enabled, [])).map(recordOf) };
    },
    list: async ({ limit, afterName }) => (await rowsOf(list, [limit, afterName ?? null])).map(recordOf),
    find: find1,
    create: async (rule) => {
      const [row] = await rowsOf(create, valuesOf(rule));
      if (row !== undefined) return recordOf(row);
      return (await isNamed(rule.name)) ? "name_taken" : "full";
    },
    replace: async (rule) => {
      try {
        const [row] = await rowsOf(replace, [...valuesOf(rule), rule.revision]);
        if (row !== undefined) return recordOf(row);
      } catch (error) {
        if (isUniqueViolation(error)) return "name_taken";
        throw error;
      }
      return (await find1(rule.id)) === undefined ? "unknown" : "changed";
    },
    remove: async (id) => (await rowsOf(remove, [id])).length > 0,
  };
}

function valuesOf({ id, name, enabled, source, rule }: NewRuleRecord): readonly unknown[] {
  return [id, name, enabled, source ?? null, JSON.stringify(rule)];
}

const isUniqueViolation = (error: unknown): boolean =>
  (error instanceof LedgerDataError || error instanceof LedgerConflictError) && error.details["sqlState"] === "23505";

function recordOf(row: Readonly<Record<string, unknown>>): RuleRecord {
  const source = row["source"];
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    enabled: row["enabled"] === true,
    source: typeof source === "string" ? source : undefined,
    rule: row["rule"],
    revision: Number(row["revision"]),
    createdAt: row["created_at"] as Date,
    updatedAt: row["updated_at"] as Date,
  };
}
