import { describe, expect, test, vi } from "vitest";
import {
  ProviderBulkheadFullError,
  ProviderRateLimitedError,
  ProviderRejectedError,
  ProviderResponseInvalidError,
  ProviderUnavailableError,
} from "../src/index.ts";
import { mayRetry, retryDelayMs } from "../src/operation.ts";
import { operationOptions, providerWorld } from "./world.ts";

const facts = { provider: "acme", operation: "pay" };
const down = (effect: "none" | "unknown" = "unknown") => new ProviderUnavailableError("down", { ...facts, effect });
const never = <T>() => new Promise<T>(() => undefined);

describe("a failed attempt", () => {
  test.for([
    { when: "the provider was down and repeating is safe", error: down(), safe: true, again: true },
    { when: "the provider was down and repeating is not safe", error: down(), safe: false, again: false },
    { when: "nothing was sent, so repeating is always safe", error: down("none"), safe: false, again: true },
    { when: "the provider refused", error: new ProviderRejectedError("no", facts), safe: true, again: false },
    {
      when: "the answer was unreadable",
      error: new ProviderResponseInvalidError("?", facts),
      safe: true,
      again: false,
    },
    { when: "no slot was free", error: new ProviderBulkheadFullError(facts), safe: true, again: false },
    {
      when: "we call too often",
      error: new ProviderRateLimitedError({ ...facts, retryAfterMs: 100 }),
      safe: false,
      again: true,
    },
    {
      when: "the provider asks for more patience than a call has",
      error: new ProviderRateLimitedError({ ...facts, retryAfterMs: 101 }),
      safe: true,
      again: false,
    },
    { when: "the mistake is ours", error: new TypeError("x"), safe: true, again: false },
  ])("when $when: made again = $again", ({ error, safe, again }) => {
    expect(mayRetry(error, safe, 100)).toBe(again);
  });

  test.for([
    { failed: 1, retryAfterMs: undefined, random: 0, ms: 50 },
    { failed: 1, retryAfterMs: undefined, random: 1, ms: 100 },
    { failed: 3, retryAfterMs: undefined, random: 0, ms: 200 },
    { failed: 20, retryAfterMs: undefined, random: 1, ms: 1_000 },
    { failed: 1, retryAfterMs: 700, random: 0, ms: 700 },
  ])(
    "number $failed with random $random and Retry-After $retryAfterMs waits $ms ms",
    ({ failed, retryAfterMs, random, ms }) => {
      expect(retryDelayMs({ baseDelayMs: 100, maxDelayMs: 1_000 }, failed, retryAfterMs, () => random)).toBe(ms);
    },
  );
});

describe("a call", () => {
  test("is made again until it succeeds, always under the same idempotency key", async () => {
    const { provider, metrics } = providerWorld();
    const operation = provider.operation(
      operationOptions({ retry: { attempts: 3, baseDelayMs: 1, maxDelayMs: 2, safe: true } }),
    );
    const seen: unknown[] = [];
    const result = await operation.call(({ attempt, idempotencyKey }) => {
      seen.push([attempt, idempotencyKey]);
      return attempt < 3 ? Promise.reject(down()) : Promise.resolve("done");
    });
    expect(result).toBe("done");
    expect(seen).toEqual([
      [1, "key-1"],
      [2, "key-1"],
      [3, "key-1"],
    ]);
    expect(await metrics.value("warren_provider_calls_total", { outcome: "PROVIDER_UNAVAILABLE" })).toBe(2);
    expect(await metrics.value("warren_provider_calls_total", { outcome: "ok" })).toBe(1);
    expect(await metrics.value("warren_provider_retries_total")).toBe(2);
  });

  test("ends with the last error when its attempts are spent", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(
      operationOptions({ retry: { attempts: 2, baseDelayMs: 1, maxDelayMs: 2, safe: true } }),
    );
    let runs = 0;
    const call = operation.call(() => {
      runs += 1;
      return Promise.reject(down());
    });
    await expect(call).rejects.toMatchObject({ code: "PROVIDER_UNAVAILABLE" });
    expect(runs).toBe(2);
  });

  test("that must not be repeated is made once, even if the operation is safe in general", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(
      operationOptions({ retry: { attempts: 3, baseDelayMs: 1, maxDelayMs: 2, safe: true } }),
    );
    let runs = 0;
    const call = operation.call(
      () => {
        runs += 1;
        return Promise.reject(down());
      },
      { safe: false },
    );
    await expect(call).rejects.toMatchObject({ code: "PROVIDER_UNAVAILABLE" });
    expect(runs).toBe(1);
  });

  test("that gets no answer ends at its timeout, with its signal aborted", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(operationOptions({ timeoutMs: 20 }));
    let signal: AbortSignal | undefined;
    const call = operation.call((attempt) => {
      signal = attempt.signal;
      return never();
    });
    await expect(call).rejects.toMatchObject({ code: "PROVIDER_TIMEOUT", effect: "unknown", retryable: true });
    expect(signal?.aborted).toBe(true);
  });

  test("throws the caller's reason at once when the caller leaves: while running, while queueing, while waiting to repeat", async () => {
    const { provider, lines } = providerWorld();
    const running = provider.operation(operationOptions({ bulkhead: { concurrent: 1, queued: 1 } }));
    const waiting = provider.operation(
      operationOptions({ name: "slow", retry: { attempts: 2, baseDelayMs: 60_000, maxDelayMs: 60_000, safe: true } }),
    );
    const reason = new Error("shutting down");
    const controller = new AbortController();
    const { signal } = controller;
    const calls = [
      running.call(() => never(), { signal }),
      running.call(() => never(), { signal }),
      waiting.call(() => Promise.reject(down()), { signal }),
    ];
    const outcomes = Promise.allSettled(calls);
    await vi.waitFor(() => expect(lines.join("")).toContain("will be made again"), { timeout: 30_000 });
    controller.abort(reason);
    expect(await outcomes).toEqual(calls.map(() => ({ status: "rejected", reason })));
    await expect(running.call(() => never(), { signal })).rejects.toBe(reason);
  });

  test("beyond the slots and the queue is turned away, and opens no breaker", async () => {
    const { provider, metrics } = providerWorld();
    const operation = provider.operation(operationOptions({ bulkhead: { concurrent: 1, queued: 1 } }));
    const gate = Promise.withResolvers<string>();
    const first = operation.call(() => gate.promise);
    const second = operation.call(() => Promise.resolve("second"));
    for (let index = 0; index < 5; index += 1) {
      await expect(operation.call(() => Promise.resolve("third"))).rejects.toMatchObject({
        code: "PROVIDER_BULKHEAD_FULL",
      });
    }
    expect(operation.state()).toEqual({ kind: "closed" });
    gate.resolve("first");
    expect(await Promise.all([first, second])).toEqual(["first", "second"]);
    expect(await metrics.value("warren_provider_calls_total", { outcome: "PROVIDER_BULKHEAD_FULL" })).toBe(5);
  });

  test("that waited for its slot is not made when the breaker opened meanwhile", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(
      operationOptions({
        bulkhead: { concurrent: 1, queued: 1 },
        breaker: { halfOpenAfterMs: 10_000, threshold: { kind: "consecutive", failures: 1 } },
      }),
    );
    const gate = Promise.withResolvers<never>();
    let made = false;
    const outcomes = Promise.allSettled([
      operation.call(() => gate.promise),
      operation.call(() => {
        made = true;
        return Promise.resolve(1);
      }),
    ]);
    gate.reject(down());
    const [, second] = await outcomes;
    expect(second).toMatchObject({ status: "rejected", reason: { code: "PROVIDER_BREAKER_OPEN" } });
    expect(made).toBe(false);
  });

  test("passes a mistake of our own through untouched: no retry, no breaker", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(
      operationOptions({ retry: { attempts: 5, baseDelayMs: 1, maxDelayMs: 2, safe: true } }),
    );
    const mistake = new TypeError("x");
    for (let index = 0; index < 5; index += 1)
      await expect(operation.call(() => Promise.reject(mistake))).rejects.toBe(mistake);
    expect(operation.state().kind).toBe("closed");
  });

  test("lets an operation name the errors of its client library", async () => {
    const { provider } = providerWorld();
    const operation = provider.operation(
      operationOptions({
        classify: (error, own) => (error instanceof RangeError ? new ProviderRejectedError("bad address", own) : error),
      }),
    );
    await expect(operation.call(() => Promise.reject(new RangeError("550")))).rejects.toMatchObject({
      code: "PROVIDER_REJECTED",
    });
  });
});
