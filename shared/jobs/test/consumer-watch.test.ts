import { createLogger } from "@warren/observability";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startConsumerWatch } from "../src/worker/consumer-watch.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const log = createLogger({ service: "test", level: "fatal", destination: { write: () => undefined } });

/** A watch over one queue, and what it did in each look. */
async function watched(looks: readonly { received?: number; hungry?: boolean; ready?: number | "away" }[]) {
  let now = looks[0] ?? {};
  let received = 0;
  const renewals: number[] = [];
  let index = 0;
  await using stack = new AsyncDisposableStack();
  stack.use(
    startConsumerWatch({
      queues: ["q"],
      readyMessages: async () => {
        if (now.ready === "away") throw new Error("not connected");
        return now.ready ?? 5;
      },
      isHungry: () => now.hungry ?? true,
      received: () => received,
      renew: () => renewals.push(index),
      log,
      everyMs: 1_000,
    }),
  );
  for (const [at, look] of looks.entries()) {
    index = at;
    now = look;
    received += look.received ?? 0;
    await vi.advanceTimersByTimeAsync(1_000);
  }
  return renewals;
}

test("a subscription that brings nothing while messages are ready is renewed at the second look, and again if that did not help", async () => {
  expect(await watched([{}, {}, {}, {}])).toEqual([1, 3]);
});

test.for<{ why: string; look: Parameters<typeof watched>[0][number] }>([
  { why: "something arrived", look: { received: 1 } },
  { why: "the worker has no room", look: { hungry: false } },
  { why: "there is nothing to bring", look: { ready: 0 } },
  { why: "the broker is away", look: { ready: "away" } },
])("it is left alone when $why in between", async ({ look }) => {
  expect(await watched([{}, look, {}, look])).toEqual([]);
});
