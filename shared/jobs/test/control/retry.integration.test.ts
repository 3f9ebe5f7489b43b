import { expect, test } from "vitest";
import { z } from "zod";
import { createControl, defineJob, handle, NonRetryableError } from "../../src/index.ts";
import { openBench } from "../fixture.ts";

const work = defineJob({ name: "work", payload: z.object({ good: z.boolean() }) });
const unknown = "01900000-0000-7000-8000-000000000000";

test("a dead job is retried with an edited payload, and its errors stay", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, log: bench.log.logger });
  await bench.worker([
    handle(work, (job) => {
      if (!job.payload.good) throw new NonRetryableError("bad payload");
      return job.attempt;
    }),
  ]);
  bench.dispatch();
  const { id } = await bench.client.enqueue(work, { good: false });
  await bench.until(id, "dead");
  const wrong = control.retry(id, {
    edit: { definition: work, payload: { good: "yes" } as unknown as { good: boolean } },
  });
  await expect(wrong).rejects.toMatchObject({ code: "JOB_PAYLOAD_INVALID" });
  const other = defineJob({ name: "other", payload: z.object({}) });
  await expect(control.retry(id, { edit: { definition: other, payload: {} } })).rejects.toMatchObject({
    code: "JOB_OPTION_INVALID",
  });
  await control.retry(id, { edit: { definition: work, payload: { good: true } } });
  expect(await bench.until(id, "succeeded")).toMatchObject({ result: 1, errors: [{ code: "JOB_NOT_RETRYABLE" }] });
});

test("each reason not to retry or discard has its own code", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, log: bench.log.logger });
  await bench.worker([
    handle(work, (job) => {
      if (!job.payload.good) throw new NonRetryableError("bad payload");
    }),
  ]);
  const waiting = await bench.client.enqueue(work, { good: true }, { delayMs: 60_000 });
  const done = await bench.client.enqueue(work, { good: true });
  const dead = await bench.client.enqueue(work, { good: false });
  await bench.until(done.id, "succeeded");
  await bench.until(dead.id, "dead");
  await control.discard(dead.id, { by: "anna" });
  await control.discard(dead.id, { by: "anna" });
  const codes = async (act: (id: string) => Promise<void>) =>
    Promise.all(
      [waiting.id, done.id, dead.id, unknown].map((id) =>
        act(id).then(
          () => "done",
          (error: { code: string }) => error.code,
        ),
      ),
    );
  expect(await codes((id) => control.retry(id))).toEqual([
    "JOB_UNFINISHED",
    "JOB_HAS_SUCCEEDED",
    "JOB_DISCARDED",
    "JOB_NOT_FOUND",
  ]);
  expect(await codes((id) => control.restore(id, { by: "anna" }))).toEqual([
    "JOB_UNFINISHED",
    "JOB_HAS_SUCCEEDED",
    "done",
    "JOB_NOT_FOUND",
  ]);
  for (const attempts of [0, -1, Number.NaN, 1.5]) {
    await expect(control.retry(dead.id, { attempts })).rejects.toMatchObject({ code: "JOB_OPTION_INVALID" });
  }
  await control.retry(dead.id, { attempts: 1 });
  await expect(control.retry(dead.id)).rejects.toMatchObject({ code: "JOB_UNFINISHED" });
});
