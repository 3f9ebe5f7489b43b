import { createLogger, createMetrics } from "@warren/observability";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLoop, type Found, type Loop } from "../src/loop.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function loopOf(step: () => Promise<Found>, idleMs: number, onDeath = vi.fn<(error: unknown) => void>()): Loop {
  const log = createLogger({ service: "test", level: "silent" });
  const metrics = createMetrics({ service: "test", version: "0" });
  return createLoop({ name: "test", step, idleMs, log, metrics, onDeath, random: () => 0.5 });
}

test("a loop that finds work looks again at once, and rests when it finds none", async () => {
  const found: Found[] = ["busy", "busy", "idle"];
  const { promise: rested, resolve } = Promise.withResolvers<void>();
  let rounds = 0;
  const loop = loopOf(async () => {
    rounds += 1;
    const next = found.shift() ?? "idle";
    if (next === "idle") resolve();
    return next;
  }, 3_600_000);
  loop.start();
  await rested;
  expect(rounds).toBe(3);
  await loop.stop();
});

test("a wake ends its rest", async () => {
  let rounds = 0;
  let { promise: round, resolve } = Promise.withResolvers<void>();
  const loop = loopOf(async () => {
    rounds += 1;
    resolve();
    return "idle";
  }, 3_600_000);
  loop.start();
  await round;
  ({ promise: round, resolve } = Promise.withResolvers<void>());
  await new Promise((tick) => setImmediate(tick));
  loop.wake();
  await round;
  expect(rounds).toBe(2);
  await loop.stop();
});

test("a loop that knows when there will be something rests no longer than until then, nor than usual", async () => {
  const rounds: Found[] = [{ nextInMs: 5 }, { nextInMs: 0 }, { nextInMs: -3 }, { nextInMs: 2_000_000_000 }];
  const { promise: rested, resolve } = Promise.withResolvers<void>();
  const loop = loopOf(async () => {
    const next = rounds.shift();
    if (next === undefined) resolve();
    return next ?? "idle";
  }, 50);
  loop.start();
  await rested;
  await loop.stop();
  expect(rounds).toEqual([]);
});

test("a loop that knows when there will be something wakes then, however long it usually rests", async () => {
  const { promise: woken, resolve } = Promise.withResolvers<void>();
  let rounds = 0;
  const loop = loopOf(async () => {
    rounds += 1;
    if (rounds === 2) resolve();
    return { nextInMs: 10 };
  }, 3_600_000);
  loop.start();
  await woken;
  await loop.stop();
  expect(rounds).toBe(2);
});

test("a failed round is tried again, and its silence shows until one succeeds", async () => {
  const { promise: recovered, resolve } = Promise.withResolvers<void>();
  let rounds = 0;
  let silence = 0;
  const loop = loopOf(async () => {
    rounds += 1;
    await vi.advanceTimersByTimeAsync(50_000);
    if (rounds < 3) throw new Error("Postgres is away");
    silence = loop.silentMs();
    resolve();
    return "idle";
  }, 3_600_000);
  loop.start();
  await recovered;
  await new Promise((tick) => setImmediate(tick));
  expect(silence).toBeGreaterThanOrEqual(150_000);
  expect(loop.silentMs()).toBe(0);
  await loop.stop();
});

test("stop waits for the round under way, and no other follows", async () => {
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
  let rounds = 0;
  const loop = loopOf(async () => {
    rounds += 1;
    await mayEnd;
    return "busy";
  }, 1);
  loop.start();
  const stopped = loop.stop();
  end();
  await stopped;
  await loop.stop();
  expect(rounds).toBe(1);
});
