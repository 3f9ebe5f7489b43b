import type { CacheStore } from "./cache.ts";

export interface MemoryStoreOptions {
  /** More push out the one that was not asked for longest. Default 1,000. */
  readonly maxEntries?: number;
  /** Milliseconds. Default `Date.now`. */
  readonly now?: () => number;
}

/** A store in this process, bounded by count, least recently used out first. Values are given out as they were put in, not copied. */
export function memoryStore(options: MemoryStoreOptions = {}): CacheStore {
  const maxEntries = options.maxEntries ?? 1_000;
  const now = options.now ?? Date.now;
  // a Map keeps the order of insertion: the first key is the one least recently used
  const entries = new Map<string, { readonly value: unknown; readonly expiresAtMs: number }>();
  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return Promise.resolve(undefined);
      entries.delete(key);
      if (now() >= entry.expiresAtMs) return Promise.resolve(undefined);
      entries.set(key, entry);
      return Promise.resolve(entry.value);
    },
    set(key, value, ttlMs) {
      entries.delete(key);
      entries.set(key, { value, expiresAtMs: now() + ttlMs });
      const oldest = entries.keys().next().value;
      if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest);
      return Promise.resolve();
    },
  };
}
