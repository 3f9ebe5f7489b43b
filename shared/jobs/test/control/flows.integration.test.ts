import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { chain, createControl, defineJob, handle, NonRetryableError, step } from "../../src/index.ts";
import { openBench } from "../fixture.ts";

const first = defineJob({ name: "first", payload: z.object({}) });
const second = defineJob({ name: "second", payload: z.object({}) });
const two = chain("two", [step(first, {}), step(second, {})]);
const why = { reason: "wrong customer", by: "anna" };

test("a cancelled flow stops its running job within a second, whatever the heartbeat", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  const seen = { started: false, abortedAt: 0 };
  await bench.worker(
    [
      handle(first, async ({ signal }) => {
        seen.started = true;
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        seen.abortedAt = performance.now();
        throw signal.reason;
      }),
    ],
    { heartbeatMs: 5_000 },
  );
  const { id, jobs } = await bench.client.startFlow(two);
  await waitFor(() => seen.started);
  const askedAt = performance.now();
  expect(await control.flows.cancel(id, why)).toMatchObject({ kind: "cancelled", cancelRequested: [jobs["first"]] });
  await waitFor(async () => (await bench.ledger.flows.find(id))?.state === "cancelled");
  // within a second, and three more for a machine that stands still; the next heartbeat would come after five
  expect(seen.abortedAt - askedAt).toBeLessThan(4_000);
  expect(await control.flows.cancel(id, why)).toMatchObject({ kind: "finished" });
  expect(await control.flows.cancel(crypto.randomUUID(), why)).toEqual({ kind: "missing" });
});

test("a dead job of a flow is retried by its id, with what depends on it; with options it is refused", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  bench.dispatch();
  let isBroken = true;
  const order: string[] = [];
  await bench.worker([
    handle(first, () => {
      order.push("first");
      if (isBroken) throw new NonRetryableError("no");
    }),
    handle(second, () => void order.push("second")),
  ]);
  const { id, jobs } = await bench.client.startFlow(two);
  await waitFor(async () => (await bench.ledger.flows.find(id))?.state === "failed");
  isBroken = false;
  const dead = jobs["first"] ?? "";
  await expect(control.retry(dead, { attempts: 3 })).rejects.toMatchObject({ code: "JOB_IN_FLOW" });
  await control.retry(dead);
  await waitFor(async () => (await bench.ledger.flows.find(id))?.state === "succeeded");
  expect(order).toEqual(["first", "first", "second"]);
  await expect(control.flows.retry(id)).rejects.toMatchObject({ code: "FLOW_NOT_RETRIABLE" });
  await expect(control.flows.retry(crypto.randomUUID())).rejects.toMatchObject({ code: "FLOW_NOT_FOUND" });
  await expect(control.flows.retry(id, { nodes: [] })).rejects.toMatchObject({ code: "JOB_OPTION_INVALID" });
});
