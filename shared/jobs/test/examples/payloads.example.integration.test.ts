import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { createClient, defineJob, viewJob } from "../../src/index.ts";
import { openBench } from "../fixture.ts";
import { enqueueStatement, payloadsIn, renderStatement } from "./payloads.ts";

test("payloads: encrypted, offloaded, searchable, of two versions; the handler sees none of it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "warren-example-"));
  const payloads = payloadsIn(directory, randomBytes(32));
  await using bench = await openBench();
  const { ledger, metrics } = bench;
  await using client = createClient({ ledger, metrics, log: bench.log.logger, payloads });
  await bench.worker([renderStatement], { payloads });
  bench.dispatch();

  const large = Array.from({ length: 5_000 }, (_, index) => `line ${index}, 17.50 EUR`);
  const jobs = [await enqueueStatement(client, "c-7", ["one line"]), await enqueueStatement(client, "c-7", large)];
  const old = defineJob({ name: "statements.render", payload: z.object({ customer: z.string(), lines: z.string() }) });
  jobs.push((await client.enqueue(old, { customer: "c-8", lines: "a\nb" })).id);
  for (const id of jobs) await bench.until(id, "succeeded");

  const found = await ledger.payloads.findJobs({ attributes: { customerId: "c-7" }, state: "succeeded" });
  expect(found.jobs.map(({ id }) => id)).toEqual([jobs[1], jobs[0]]);
  const views = await Promise.all(found.jobs.map((job) => viewJob(job, payloads)));
  expect(views.map(({ result }) => result)).toEqual([{ pages: 100 }, { pages: 1 }]);
  expect((await viewJob(found.jobs[1]!)).payload).toEqual({ encrypted: { keyId: "2026-11" } });
  rmSync(directory, { recursive: true });
});
