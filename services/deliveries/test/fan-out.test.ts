import { newId } from "@warren/ledger";
import { expect, test } from "vitest";
import { fanOutHandler } from "../src/fan-out.ts";

const job = (payload: unknown, signal = new AbortController().signal) => ({
  payload: { eventType: "invoice.paid", eventId: "evt_1", createdAt: "2026-11-22T10:00:00.000Z", payload },
  correlationId: "c",
  signal,
});

/** A fan-out to so many endpoints; the sizes of its calls. */
function fanOutTo(many: number, onCall: () => void = () => undefined) {
  const calls: number[] = [];
  const ids: string[] = [];
  const run = fanOutHandler({
    endpoints: { enabled: async () => Array.from({ length: many }, () => ({ id: newId(), eventTypes: [] })) },
    client: {
      enqueueMany: async (_definition, items) => {
        calls.push(items.length);
        ids.push(...items.map(({ id = "" }) => id));
        onCall();
        return [];
      },
    },
  });
  return { run, calls, ids };
}

test("an event goes to many endpoints in portions, each endpoint once", async () => {
  const { run, calls, ids } = fanOutTo(1_201);
  expect(await run(job({ amount: 17 }))).toEqual({ endpoints: 1_201 });
  expect(calls).toEqual([500, 500, 201]);
  expect(new Set(ids).size).toBe(1_201);
});

test("a large payload makes small portions: no statement holds more than 8 MiB of it", async () => {
  const { run, calls } = fanOutTo(20);
  await run(job("x".repeat(1_000_000)));
  expect(calls).toEqual([8, 8, 4]);
});

test("a fan-out that is aborted stops between two portions", async () => {
  const stop = new AbortController();
  const { run, calls } = fanOutTo(2_000, () => stop.abort(new Error("the worker stops")));
  await expect(run(job({}, stop.signal))).rejects.toThrow("the worker stops");
  expect(calls).toEqual([500]);
});
