import { defineJob, handle, reportBreakersTo } from "@warren/jobs";
import { createProvider } from "@warren/resilience";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { type Bench, openBench } from "./fixture.ts";

const send = defineJob({
  name: "send",
  queue: "mail",
  payload: z.object({ to: z.string() }),
  breakers: ["post:send"],
  attempts: 3,
  backoff: { kind: "fixed", delayMs: 50 },
});

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

test("while a provider is down its jobs are held without losing attempts, a probe finds out, and all run when it is back", async () => {
  let down = true;
  const calls: string[] = [];
  await using provider = createProvider({
    name: "post",
    log: bench.log,
    metrics: bench.metrics,
    onBreakerChange: reportBreakersTo(bench.ledger),
  });
  const operation = provider.operation({
    name: "send",
    timeoutMs: 1_000,
    bulkhead: { concurrent: 10, queued: 100 },
    breaker: { halfOpenAfterMs: 300, threshold: { kind: "consecutive", failures: 3 } },
    retry: { attempts: 1, baseDelayMs: 10, maxDelayMs: 10, safe: false },
  });
  await bench.dispatcher();
  await bench.worker([
    handle(send, async ({ payload, signal }) => {
      await operation.call(
        async () => {
          calls.push(payload.to);
          if (down) throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
        },
        { signal },
      );
    }),
  ]);
  const jobs = await bench.client.enqueueMany(
    send,
    Array.from({ length: 40 }, (_, index) => ({ payload: { to: String(index) } })),
  );
  await waitFor(async () => (await bench.ledger.breakers()).some(({ state }) => state.kind === "open"), {
    what: "the breaker to open in the ledger",
  });
  // at least one probe meets the dead provider, is held again and opens the breaker anew
  await waitFor(() => bench.lines.some(({ msg }) => String(msg).includes("a job probes it")), { what: "a probe" });
  down = false;
  for (const { id } of jobs) {
    const job = await bench.until(id, "succeeded");
    expect(job.attempt - job.excused).toBeLessThanOrEqual(2);
  }
  expect(calls.length).toBeLessThan(2 * jobs.length);
}, 60_000);
