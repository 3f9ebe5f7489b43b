import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { chain, createControl, defineJob, FlowError, handle, NonRetryableError, step } from "../../src/index.ts";
import { openBench } from "../fixture.ts";

const first = defineJob({ name: "first", payload: z.object({ good: z.boolean().default(false) }) });
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

test("a dead job of a flow is retried by its id with another payload, with what depends on it; what depends on it is not retried alone", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  bench.dispatch();
  const order: string[] = [];
  await bench.worker([
    handle(first, ({ payload }) => {
      order.push("first");
      if (!payload.good) throw new NonRetryableError("no");
    }),
    handle(second, () => void order.push("second")),
  ]);
  const { id, jobs } = await bench.client.startFlow(two);
  await waitFor(async () => (await bench.ledger.flows.find(id))?.state === "failed");
  const [dead = "", after = ""] = [jobs["first"], jobs["second"]];
  const alone = control.retry(after);
  await expect(alone).rejects.toThrow(FlowError);
  await expect(alone).rejects.toMatchObject({ code: "FLOW_PARENT_FAILED", details: { jobId: after, flowId: id } });
  await control.discard(after, { by: "anna" });
  await expect(control.retry(dead)).rejects.toMatchObject({ code: "FLOW_NODE_DISCARDED" });
  await control.restore(after, { by: "anna" });
  await expect(control.retry(dead, { edit: { definition: second, payload: {} } })).rejects.toMatchObject({
    code: "JOB_OPTION_INVALID",
  });
  await control.retry(dead, { attempts: 1, edit: { definition: first, payload: { good: true } } });
  await waitFor(async () => (await bench.ledger.flows.find(id))?.state === "succeeded");
  expect(order).toEqual(["first", "first", "second"]);
  await expect(control.flows.retry(id)).rejects.toMatchObject({ code: "FLOW_NOT_RETRIABLE" });
  await expect(control.flows.retry(crypto.randomUUID())).rejects.toMatchObject({ code: "FLOW_NOT_FOUND" });
  await expect(control.flows.retry(id, { nodes: [] })).rejects.toMatchObject({ code: "JOB_OPTION_INVALID" });
});
