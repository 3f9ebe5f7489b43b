import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ProviderRateLimitedError, ProviderRejectedError, ProviderUnavailableError } from "../src/index.ts";
import { operationOptions, providerWorld } from "./world.ts";

const facts = { provider: "acme", operation: "pay" };
const fails = () => Promise.reject(new ProviderUnavailableError("down", { ...facts, effect: "unknown" }));
const refuses = () => Promise.reject(new ProviderRejectedError("no", facts));
const limited = () => Promise.reject(new ProviderRateLimitedError({ ...facts, retryAfterMs: 60_000 }));
const works = () => Promise.resolve("ok");

beforeEach(() => {
  vi.useFakeTimers({ now: new Date("2026-11-22T10:00:00Z") });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Plays a sequence of calls and gives what became of each. */
async function play(
  operation: { call: (fn: () => Promise<unknown>) => Promise<unknown> },
  ...fns: (() => Promise<unknown>)[]
) {
  const outcomes: unknown[] = [];
  for (const fn of fns) {
    outcomes.push(await operation.call(fn).catch((error: { code: string }) => error.code));
  }
  return outcomes;
}

describe("a breaker", () => {
  test("opens after so many failures in a row, refuses, tries once when its time comes, and closes on success", async () => {
    const { provider, metrics, states, changes } = providerWorld();
    const operation = provider.operation(operationOptions());
    expect(await play(operation, fails, fails, fails, works)).toEqual([
      "PROVIDER_UNAVAILABLE",
      "PROVIDER_UNAVAILABLE",
      "PROVIDER_UNAVAILABLE",
      "PROVIDER_BREAKER_OPEN",
    ]);
    const openedAt = new Date("2026-11-22T10:00:00Z");
    const retryAt = new Date("2026-11-22T10:00:10Z");
    expect(operation.state()).toEqual({ kind: "open", openedAt, retryAt });
    expect(changes[0]).toEqual({ breaker: "acme:pay", state: { kind: "open", openedAt, retryAt } });
    expect(await metrics.value("warren_breaker_state", { breaker: "acme:pay", state: "open" })).toBe(1);
    expect(await metrics.value("warren_breaker_state", { breaker: "acme:pay", state: "closed" })).toBe(0);
    vi.advanceTimersByTime(9_999);
    expect(await play(operation, works)).toEqual(["PROVIDER_BREAKER_OPEN"]);
    vi.advanceTimersByTime(1);
    expect(await play(operation, works)).toEqual(["ok"]);
    expect(operation.state()).toEqual({ kind: "closed" });
    expect(states()).toEqual(["open", "half_open", "closed"]);
    expect(await metrics.value("warren_breaker_state", { breaker: "acme:pay", state: "closed" })).toBe(1);
  });

  test("starts counting anew after a success", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(operationOptions());
    await play(operation, fails, fails, works, fails, fails);
    expect(operation.state().kind).toBe("closed");
  });

  test("takes a refusal for a sign of life", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(operationOptions());
    await play(operation, fails, fails, refuses, fails, fails);
    expect(operation.state().kind).toBe("closed");
    await play(operation, fails);
    expect(operation.state().kind).toBe("open");
    vi.advanceTimersByTime(10_000);
    expect(await play(operation, refuses)).toEqual(["PROVIDER_REJECTED"]);
    expect(operation.state().kind).toBe("closed");
  });

  test("tells a refused caller how long to wait", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(operationOptions());
    await play(operation, fails, fails, fails);
    vi.advanceTimersByTime(4_000);
    await expect(operation.call(works)).rejects.toMatchObject({ breaker: "acme:pay", retryAfterMs: 6_000 });
  });

  test("waits longer after each failed trial, up to its limit, and forgets that when it closes", async () => {
    const { provider } = providerWorld();
    const breaker = {
      halfOpenAfterMs: 1_000,
      maxHalfOpenAfterMs: 3_000,
      threshold: { kind: "consecutive", failures: 1 },
    } as const;
    const operation = provider.operation(operationOptions({ breaker }));
    const waits: number[] = [];
    const wait = () => {
      const state = operation.state();
      if (state.kind !== "open") throw new Error("expected an open breaker");
      waits.push(state.retryAt.getTime() - Date.now());
      vi.advanceTimersByTime(state.retryAt.getTime() - Date.now());
    };
    for (let index = 0; index < 4; index += 1) {
      await play(operation, fails);
      wait();
    }
    await play(operation, works, fails);
    wait();
    expect(waits).toEqual([1_000, 2_000, 3_000, 3_000, 1_000]);
  });

  test("stays open as long as the provider asked for", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(operationOptions());
    await play(operation, limited, limited, limited);
    expect(operation.state()).toMatchObject({ kind: "open", retryAt: new Date("2026-11-22T10:01:00Z") });
  });

  test("lets exactly one call through at half-open and refuses the others without making them wait", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(operationOptions());
    await play(operation, fails, fails, fails);
    vi.advanceTimersByTime(10_000);
    const gate = Promise.withResolvers<string>();
    const trial = operation.call(() => gate.promise);
    expect(operation.state().kind).toBe("half_open");
    expect(await play(operation, works, works)).toEqual(["PROVIDER_BREAKER_OPEN", "PROVIDER_BREAKER_OPEN"]);
    gate.resolve("ok");
    expect(await trial).toBe("ok");
    expect(await play(operation, works)).toEqual(["ok"]);
  });

  test("does not take a trial for a recovery when its caller left before the answer", async () => {
    const { provider, states } = providerWorld();
    const operation = provider.operation(operationOptions());
    await play(operation, fails, fails, fails);
    vi.advanceTimersByTime(10_000);
    const controller = new AbortController();
    const trial = operation.call(() => new Promise(() => undefined), { signal: controller.signal });
    controller.abort(new Error("gone"));
    await expect(trial).rejects.toThrow("gone");
    await vi.advanceTimersByTimeAsync(0);
    expect(operation.state().kind).toBe("open");
    expect(states()).toEqual(["open", "half_open", "open"]);
  });

  test("by ratio opens only when enough calls failed within the window", async () => {
    const { provider } = providerWorld();
    const threshold = { kind: "ratio", failed: 0.5, windowMs: 10_000, minimumPerSecond: 1 } as const;
    const operation = provider.operation(operationOptions({ breaker: { halfOpenAfterMs: 10_000, threshold } }));
    await play(operation, ...Array.from({ length: 9 }, () => fails));
    expect(operation.state().kind).toBe("closed");
    vi.advanceTimersByTime(20_000);
    await play(operation, ...Array.from({ length: 6 }, () => works), ...Array.from({ length: 6 }, () => fails));
    expect(operation.state().kind).toBe("closed");
    await play(operation, fails);
    expect(operation.state().kind).toBe("open");
  });

  test("by ratio forgets the failures of before a quiet time", async () => {
    const { provider } = providerWorld();
    const threshold = { kind: "ratio", failed: 0.5, windowMs: 10_000, minimumPerSecond: 1 } as const;
    const operation = provider.operation(operationOptions({ breaker: { halfOpenAfterMs: 10_000, threshold } }));
    await play(operation, ...Array.from({ length: 9 }, () => fails));
    vi.advanceTimersByTime(60_000);
    await play(operation, fails);
    expect(operation.state().kind).toBe("closed");
  });

  test("ends the retrying of a call that opened it", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(
      operationOptions({ retry: { attempts: 10, baseDelayMs: 10, maxDelayMs: 10, safe: true } }),
    );
    let runs = 0;
    const call = operation.call(() => {
      runs += 1;
      return fails();
    });
    const outcomes = Promise.allSettled([call]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await outcomes).toMatchObject([{ reason: { code: "PROVIDER_BREAKER_OPEN" } }]);
    expect(runs).toBe(3);
  });

  test("is reported again until the report is taken, the newest state only", async () => {
    let broken = true;
    const taken: string[] = [];
    const { provider } = providerWorld((change) => {
      if (broken) throw new Error("the ledger is away");
      taken.push(change.state.kind);
    });
    const operation = provider.operation(operationOptions());
    await play(operation, fails, fails, fails);
    await vi.advanceTimersByTimeAsync(10_000);
    await play(operation, works);
    broken = false;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(taken).toEqual(["closed"]);
    await provider[Symbol.asyncDispose]();
  });

  test("is reported once more when it changed while the report was under way", async () => {
    const gate = Promise.withResolvers<void>();
    const taken: string[] = [];
    const { provider } = providerWorld(async (change) => {
      taken.push(change.state.kind);
      if (taken.length === 1) await gate.promise;
    });
    const operation = provider.operation(operationOptions());
    await play(operation, fails, fails, fails);
    vi.advanceTimersByTime(10_000);
    await play(operation, works);
    expect(taken).toEqual(["open"]);
    gate.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(taken).toEqual(["open", "closed"]);
  });

  test("is reported for the last time when its provider is let go, and never after", async () => {
    let tries = 0;
    const { provider } = providerWorld(() => {
      tries += 1;
      throw new Error("the ledger is away");
    });
    const operation = provider.operation(operationOptions());
    await play(operation, fails, fails, fails);
    await provider[Symbol.asyncDispose]();
    const atTheEnd = tries;
    expect(atTheEnd).toBe(2);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tries).toBe(atTheEnd);
  });
});
