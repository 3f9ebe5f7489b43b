import { LedgerDataError } from "./errors.ts";
import type { Database } from "./postgres/database.ts";
import type { TableName } from "./postgres/sql.ts";

/** A store for `createCache` of @warren/resilience. */
export interface CacheStore {
  /** `undefined` when there is none, or it has expired. */
  get(key: string): Promise<unknown>;
  /** `value` must be JSON and not `undefined`. */
  set(key: string, value: unknown, ttlMs: number): Promise<void>;
}

export function createCacheStore(database: Database, table: TableName): CacheStore {
  // Index: cache (key). Expired rows are swept by maintainPartitions.
  const get = {
    name: "warren_cache_get",
    text: `select value from ${table("cache")} where key = $1 and expires_at > clock_timestamp()`,
  };
  // Locks one row.
  const set = {
    name: "warren_cache_set",
    text: `insert into ${table("cache")} (key, value, expires_at)
      values ($1, $2::text::jsonb, clock_timestamp() + $3::double precision * interval '1 millisecond')
      on conflict (key) do update set value = excluded.value, expires_at = excluded.expires_at`,
  };
  return {
    get: async (key) => (await database.run(get, [key]))[0]?.["value"],
    set: async (key, value, ttlMs) => {
      const text: string | undefined = JSON.stringify(value);
      if (text === undefined) throw new LedgerDataError(`the value to cache under "${key}" is not JSON`);
      await database.run(set, [key, text, ttlMs]);
    },
  };
}
