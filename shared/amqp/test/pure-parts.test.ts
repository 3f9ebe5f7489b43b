import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { Backoff } from "../src/backoff.ts";
import { parseDifference } from "../src/declare.ts";
import { Fifo } from "../src/fifo.ts";
import { Idle } from "../src/idle.ts";
import { deadQueue, jobQueue, queueOf } from "../src/names.ts";
import { withoutDeath } from "../src/outgoing.ts";
import { Reconciler } from "../src/reconciler.ts";
import { SettledMemory } from "../src/settled-memory.ts";
import { jobsTopology, mergeTopologies } from "../src/topology.ts";

test.for([
  {
    when: "a number differs",
    text: "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'warren.jobs.a' in vhost '/': received '5' but current is '20'",
    difference: { argument: "x-delivery-limit", declared: "5", actual: "20" },
  },
  {
    when: "the broker has none",
    text: "inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost 'v': received the value 'warren.dead' of type 'longstr' but current is none",
    difference: { argument: "x-dead-letter-exchange", declared: "warren.dead", actual: "none" },
  },
  {
    when: "amqplib has wrapped it in quotes",
    text: `Operation failed: QueueDeclare; 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type 'longstr' but current is the value 'classic' of type 'longstr'"`,
    difference: { argument: "x-queue-type", declared: "quorum", actual: "classic" },
  },
  {
    when: "an exchange has another type",
    text: "inequivalent arg 'type' for exchange 'e' in vhost '/': received 'topic' but current is 'direct'",
    difference: { argument: "type", declared: "topic", actual: "direct" },
  },
  { when: "the text is unknown", text: "PRECONDITION_FAILED - something new", difference: {} },
])("the broker's reply is read when $when", ({ text, difference }) => {
  expect(parseDifference(text)).toEqual(difference);
});

test("delays double up to the cap, never fall below half a step, and begin anew after a success", () => {
  for (const random of [() => 0, () => 0.999]) {
    const backoff = new Backoff({ firstMs: 100, capMs: 1_000, random });
    const delays = Array.from({ length: 6 }, () => backoff.nextMs());
    for (const [index, delay] of delays.entries()) {
      const step = Math.min(1_000, 100 * 2 ** index);
      expect(delay).toBeGreaterThanOrEqual(step / 2);
      expect(delay).toBeLessThanOrEqual(step);
    }
    backoff.succeeded();
    expect(backoff.nextMs()).toBeLessThanOrEqual(100);
  }
});

test("two processes do not come back in step", () => {
  const delays = new Set(
    Array.from({ length: 50 }, () => new Backoff({ firstMs: 5_000, capMs: 5_000, random: Math.random }).nextMs()),
  );
  expect(delays.size).toBeGreaterThan(10);
});

test("the memory of settled messages is bounded in number and in age, and answers once", () => {
  let nowMs = 0;
  const memory = new SettledMemory({ limit: 2, maxAgeMs: 1_000, nowMs: () => nowMs });
  for (const id of ["a", "b", "c"]) memory.remember(id, "ack");
  expect(memory.size).toBe(2);
  expect(memory.take("a")).toBeUndefined();
  expect(memory.take("b")).toBe("ack");
  expect(memory.take("b")).toBeUndefined();
  nowMs = 1_001;
  expect(memory.take("c")).toBeUndefined();
});

test("a fifo keeps its order over thousands of pushes, shifts and a prepend", () => {
  const fifo = new Fifo<number>();
  for (let i = 0; i < 5_000; i++) fifo.push(i);
  for (let i = 0; i < 4_000; i++) expect(fifo.shift()).toBe(i);
  fifo.prepend([-2, -1]);
  expect([fifo.shift(), fifo.shift(), fifo.shift()]).toEqual([-2, -1, 4_000]);
  fifo.retain((item) => item % 2 === 0);
  expect(fifo.size).toBe(499);
  expect(fifo.peek()).toBe(4_002);
});

test("waiting for idleness ends with the last one to leave, or with the deadline", async () => {
  const idle = new Idle();
  expect(await idle.wait(AbortSignal.abort())).toBe(true);
  idle.enter();
  expect(await idle.wait(AbortSignal.abort())).toBe(false);
  const waiting = idle.wait(AbortSignal.timeout(30_000));
  idle.leave();
  expect(await waiting).toBe(true);
});

test("a republished message carries no dead-letter history that RabbitMQ would read, but keeps it readable", () => {
  const death = [{ queue: "q", reason: "rejected", count: 1 }];
  const headers = { "x-death": death, "x-first-death-queue": "q", "x-last-death-reason": "rejected", traceparent: "t" };
  expect(withoutDeath(headers)).toEqual({ "x-warren-death": death, traceparent: "t" });
  const plain = { traceparent: "t" };
  expect(withoutDeath(plain)).toBe(plain);
});

test("merging is a union, and two shapes of one queue are an error that names it", () => {
  const a = jobsTopology({ queues: ["a"] });
  const both = mergeTopologies(a, jobsTopology({ queues: ["b", "a"] }));
  expect(both.queues.map(({ name }) => name)).toEqual([
    "warren.unroutable",
    "warren.dead.a",
    "warren.jobs.a",
    "warren.dead.b",
    "warren.jobs.b",
  ]);
  expect(both.bindings).toHaveLength(5);
  expect(both.exchanges).toHaveLength(3);
  const other = { exchanges: [], queues: [{ name: jobQueue("a"), arguments: {} }], bindings: [] };
  expect(() => mergeTopologies(a, other)).toThrow(
    expect.objectContaining({ code: "AMQP_TOPOLOGY_CONFLICT", message: expect.stringContaining("warren.jobs.a") }),
  );
});

test("queue names go there and back, and only ours do", () => {
  expect(queueOf(jobQueue("reports"))).toBe("reports");
  expect(queueOf(deadQueue("reports"))).toBe("reports");
  expect(queueOf("somebody.elses")).toBeUndefined();
  expect(() => jobQueue("a.b")).toThrow(RangeError);
});

test("a kick is followed by a step, however close behind the last step it comes", async () => {
  for (let turns = 0; turns < 12; turns++) {
    let steps = 0;
    const reconciler = new Reconciler({ step: async () => void steps++, failed: async () => undefined });
    void reconciler.kick();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const before = steps;
    await reconciler.kick();
    expect({ turns, steps }).toEqual({ turns, steps: before + 1 });
  }
});

test("steps never overlap, a failed one is told, and a later kick takes the place of one that was to come", async () => {
  const seen: unknown[] = [];
  let going = 0;
  const reconciler = new Reconciler({
    step: async () => {
      expect(going++).toBe(0);
      await setImmediate();
      going--;
      seen.push("step");
      if (seen.length === 1) throw new Error("refused");
    },
    failed: async (error) => void seen.push(error),
  });
  reconciler.kickAfter(2 ** 30);
  const first = reconciler.kick();
  await Promise.resolve();
  await Promise.all([first, reconciler.kick(), reconciler.kick()]);
  expect(seen).toEqual(["step", new Error("refused"), "step"]);
});
