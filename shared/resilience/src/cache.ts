import type { Logger } from "@warren/observability";

/** Where cached values lie. `get` gives `undefined` for what is unknown or over; values are JSON. The ledger has one in Postgres. */
export interface CacheStore {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown, ttlMs: number): Promise<void>;
}

export interface CacheOptions {
  readonly store: CacheStore;
  readonly log: Logger;
  /** Milliseconds. Default `Date.now`. */
  readonly now?: () => number;
}

export interface CacheRequest<T> {
  readonly key: string;
  /** How long the value may be given out, from the moment its loading began. */
  readonly ttlMs: number;
  readonly load: () => Promise<T>;
  /** Whether what the store holds is still of the right shape; if not, it is loaded anew. */
  readonly accept: (value: unknown) => value is T;
  /** Lets this caller go; the load goes on for the others. */
  readonly signal?: AbortSignal | undefined;
}

export interface Cache {
  /**
   * The value under `key`, loaded at most once at a time in this process. A value is never given out after its TTL, whatever the store
   * says. A failed load is thrown to all who wait and not kept; a failing store is logged and does as if it were empty.
   */
  get<T>(request: CacheRequest<T>): Promise<T>;
}

/** The value with its end: the promise about TTLs does not hang on the store's own clock. */
interface Envelope {
  readonly value: unknown;
  readonly expiresAtMs: number;
}

export function createCache(options: CacheOptions): Cache {
  const now = options.now ?? Date.now;
  const loading = new Map<string, Promise<unknown>>();

  async function stored(key: string): Promise<Envelope | undefined> {
    try {
      const found = await options.store.get(key);
      return isEnvelope(found) && now() < found.expiresAtMs ? found : undefined;
    } catch (error) {
      options.log.warn({ err: error }, "cache not readable, loading instead");
      return undefined;
    }
  }

  async function keep(key: string, value: unknown, expiresAtMs: number): Promise<void> {
    const ttlMs = expiresAtMs - now();
    if (ttlMs <= 0 || value === undefined) return;
    try {
      await options.store.set(key, { value, expiresAtMs } satisfies Envelope, ttlMs);
    } catch (error) {
      options.log.warn({ err: error }, "cache not writable, going on without");
    }
  }

  async function recallOrLoad<T>(request: CacheRequest<T>): Promise<T> {
    const found = await stored(request.key);
    if (found !== undefined && request.accept(found.value)) return found.value;
    const expiresAtMs = now() + request.ttlMs;
    const value = await request.load();
    await keep(request.key, value, expiresAtMs);
    return value;
  }

  return {
    async get<T>(request: CacheRequest<T>): Promise<T> {
      request.signal?.throwIfAborted();
      let flight = loading.get(request.key);
      if (flight === undefined) {
        flight = recallOrLoad(request).finally(() => loading.delete(request.key));
        loading.set(request.key, flight);
      }
      const value = await unlessGone(flight, request.signal);
      // another caller's load under the same key may have another type
      if (request.accept(value)) return value;
      return request.load();
    },
  };
}

function isEnvelope(value: unknown): value is Envelope {
  return (
    typeof value === "object" &&
    value !== null &&
    "value" in value &&
    "expiresAtMs" in value &&
    typeof value.expiresAtMs === "number"
  );
}

async function unlessGone<T>(flight: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return flight;
  let leave: (() => void) | undefined;
  const gone = new Promise<never>((_resolve, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([flight, gone]);
  } finally {
    if (leave !== undefined) signal.removeEventListener("abort", leave);
  }
}
