import { createLogger } from "@warren/observability";
import { describe, expect, test } from "vitest";
import { type CacheStore, createCache, memoryStore } from "../src/index.ts";

const lines: string[] = [];
const log = createLogger({ service: "test", level: "trace", destination: { write: (line) => void lines.push(line) } });
const isNumber = (value: unknown): value is number => typeof value === "number";

function counting(values: number[]) {
  let loads = 0;
  return { load: () => Promise.resolve(values[loads++] ?? -1), loads: () => loads };
}

describe("a cache", () => {
  test("loads once for callers that ask at the same time, and again after a failure", async () => {
    const cache = createCache({ store: memoryStore(), log });
    const gate = Promise.withResolvers<number>();
    let loads = 0;
    const ask = () =>
      cache.get({
        key: "k",
        ttlMs: 1_000,
        accept: isNumber,
        load: () => {
          loads += 1;
          return loads === 1 ? gate.promise : Promise.resolve(7);
        },
      });
    const outcomes = Promise.allSettled([ask(), ask()]);
    gate.reject(new Error("down"));
    expect((await outcomes).map((outcome) => outcome.status)).toEqual(["rejected", "rejected"]);
    expect(loads).toBe(1);
    expect(await ask()).toBe(7);
  });

  test("never gives out a value after its time, even if the store does", async () => {
    let nowMs = 0;
    const everlasting = new Map<string, unknown>();
    const store: CacheStore = {
      get: (key) => Promise.resolve(everlasting.get(key)),
      set: (key, value) => Promise.resolve(void everlasting.set(key, value)),
    };
    const cache = createCache({ store, log, now: () => nowMs });
    const source = counting([1, 2]);
    const ask = () => cache.get({ key: "k", ttlMs: 100, accept: isNumber, load: source.load });
    expect(await ask()).toBe(1);
    nowMs = 99;
    expect(await ask()).toBe(1);
    nowMs = 100;
    expect(await ask()).toBe(2);
  });

  test("counts the time from before the load: a value is as old as its question", async () => {
    let nowMs = 0;
    const cache = createCache({ store: memoryStore({ now: () => nowMs }), log, now: () => nowMs });
    const source = counting([1, 2]);
    const ask = (tookMs: number) =>
      cache.get({
        key: "k",
        ttlMs: 100,
        accept: isNumber,
        load: () => {
          nowMs += tookMs;
          return source.load();
        },
      });
    await ask(60);
    nowMs += 50;
    expect(await ask(0)).toBe(2);
  });

  test("goes on without a store that fails, and says so", async () => {
    const broken: CacheStore = {
      get: () => Promise.reject(new Error("no table")),
      set: () => Promise.reject(new Error("no table")),
    };
    const cache = createCache({ store: broken, log });
    expect(await cache.get({ key: "k", ttlMs: 100, accept: isNumber, load: () => Promise.resolve(5) })).toBe(5);
    expect(lines.join("")).toMatch(/cache not readable[^]*cache not writable/);
  });

  test("loads anew what the store holds in another shape", async () => {
    const store = memoryStore();
    await store.set("k", { value: "old shape", expiresAtMs: Date.now() + 10_000 }, 10_000);
    const cache = createCache({ store, log });
    const source = counting([5, 6]);
    const ask = () => cache.get({ key: "k", ttlMs: 10_000, accept: isNumber, load: source.load });
    expect([await ask(), await ask(), source.loads()]).toEqual([5, 5, 1]);
  });

  test("lets a caller go without ending the load for the others", async () => {
    const cache = createCache({ store: memoryStore(), log });
    const gate = Promise.withResolvers<number>();
    const controller = new AbortController();
    const request = { key: "k", ttlMs: 100, accept: isNumber, load: () => gate.promise };
    const leaving = cache.get({ ...request, signal: controller.signal });
    const staying = cache.get(request);
    controller.abort(new Error("gone"));
    await expect(leaving).rejects.toThrow("gone");
    gate.resolve(3);
    expect(await staying).toBe(3);
  });
});

describe("the memory store", () => {
  test("holds so many entries and drops the one not asked for longest", async () => {
    const store = memoryStore({ maxEntries: 2 });
    await store.set("a", 1, 1_000);
    await store.set("b", 2, 1_000);
    await store.get("a");
    await store.set("c", 3, 1_000);
    expect(await Promise.all(["a", "b", "c"].map((key) => store.get(key)))).toEqual([1, undefined, 3]);
  });
});
