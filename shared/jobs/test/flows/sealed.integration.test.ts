import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { compensates, createClient, defineFlow, defineJob, handle, NonRetryableError } from "../../src/index.ts";
import { createFileStore } from "../../src/payloads/file-store.ts";
import { createKeyRing } from "../../src/payloads/key-ring.ts";
import { openBench } from "../fixture.ts";

const shapes = {
  payload: z.object({ card: z.string() }),
  result: z.object({ receipt: z.string() }),
  attempts: 1,
};
const charge = defineJob({ name: "charge", ...shapes, encrypt: true, unique: { by: ({ card }) => card } });
const scan = defineJob({ name: "scan", ...shapes, offloadAboveBytes: 1_000 });
const ship = defineJob({ name: "ship", payload: z.object({}), attempts: 1 });
const refund = defineJob({ name: "refund", payload: compensates(charge), attempts: 1 });
const shred = defineJob({ name: "shred", payload: compensates(scan), attempts: 1 });

test("encrypted and offloaded steps keep their secrets in the ledger, and later steps and compensations read them", async () => {
  await using bench = await openBench();
  const directory = mkdtempSync(join(tmpdir(), "warren-flow-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true }));
  const payloads = {
    keyRing: createKeyRing({ current: "k1", keys: { k1: randomBytes(32) } }),
    store: createFileStore({ directory }),
  };
  const client = stack.use(
    createClient({ ledger: bench.ledger, log: bench.log.logger, metrics: bench.metrics, payloads }),
  );
  const long = "page ".repeat(1_000);
  const seen: unknown[] = [];
  await bench.worker(
    [
      handle(charge, ({ payload }) => ({ receipt: `receipt for ${payload.card}` })),
      handle(scan, () => ({ receipt: long })),
      handle(ship, async (job) => {
        seen.push((await job.flow.resultOf("charge", charge)).receipt);
        seen.push((await job.flow.resultOf("scan", scan)).receipt.length);
        throw new NonRetryableError("no such address");
      }),
      handle(refund, ({ payload }) => void seen.push(payload.payload.card, payload.result.receipt, payload.flow.node)),
      handle(shred, ({ payload }) => void seen.push(payload.payload.card.length, payload.result.receipt.length)),
    ],
    { payloads },
  );
  bench.dispatch();
  const flow = defineFlow("sealed", (f) => {
    const paid = f.job(charge, { card: "4242" }, { compensate: refund });
    const scanned = f.job(scan, { card: long }, { compensate: shred, after: paid });
    f.job(ship, {}, { after: scanned });
  });
  const { id } = await client.startFlow(flow);
  await waitFor(async () => (await bench.ledger.flows.find(id))?.state === "compensated", { what: "its compensation" });
  expect(seen).toEqual([
    "receipt for 4242",
    long.length,
    long.length,
    long.length,
    "4242",
    "receipt for 4242",
    "charge",
  ]);
  for (const table of ["jobs_history", "flow_nodes"]) {
    const { rows } = await bench.ledger.query(
      `select 1 from ${bench.ledger.table(table)} t where t::text like '%4242%' or t::text like '%page page%'`,
      [],
    );
    expect(rows).toEqual([]);
  }
  expect(bench.log.lines.filter((line) => JSON.stringify(line).includes("4242"))).toEqual([]);
});
