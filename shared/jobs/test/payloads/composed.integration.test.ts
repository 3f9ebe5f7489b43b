import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../src/define.ts";
import { type Client, createClient } from "../../src/enqueue/client.ts";
import { NonRetryableError } from "../../src/errors.ts";
import { defineFlow } from "../../src/flows/define-flow.ts";
import { handle } from "../../src/handle.ts";
import { createFileStore } from "../../src/payloads/file-store.ts";
import { createKeyRing } from "../../src/payloads/key-ring.ts";
import { openPayload } from "../../src/payloads/payload.ts";
import type { Payloads } from "../../src/payloads/seal.ts";
import { sweepPayloads } from "../../src/payloads/sweep.ts";
import { type Bench, openBench } from "../fixture.ts";

let bench: Bench;
let directory: string;
let payloads: Required<Payloads>;
let client: Client;

beforeEach(async () => {
  bench = await openBench();
  directory = mkdtempSync(join(tmpdir(), "warren-composed-"));
  const keyRing = createKeyRing({ current: "k1", keys: { k1: randomBytes(32) } });
  payloads = { keyRing, store: createFileStore({ directory }) };
  client = createClient({ ledger: bench.ledger, log: bench.log.logger, metrics: bench.metrics, payloads });
  bench.dispatch();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

/** Everything the database holds, as text. */
async function databaseText(): Promise<string> {
  const { rows } = await bench.ledger.query(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = $1`,
    [bench.ledger.schema],
  );
  const texts: string[] = [];
  for (const { name } of rows) {
    const found = await bench.ledger.query(
      `select coalesce(jsonb_agg(to_jsonb(t)), '[]')::text as text from ${String(name)} t`,
      [],
    );
    texts.push(String(found.rows[0]?.["text"]));
  }
  return texts.join("\n");
}

const inThreeDays = () => Date.now() + 3 * 24 * 3_600_000;

/** Sweeps everything that nobody refers to, however young. */
async function sweep(): Promise<number> {
  let deleted = 0;
  for (let more = true; more; ) {
    const swept = await sweepPayloads({ store: payloads.store!, ledger: bench.ledger, everyMs: 0, now: inThreeDays });
    deleted += swept.deleted;
    more = swept.more;
  }
  return deleted;
}

const card = z.object({ card: z.string() });
const sealed = { encrypt: true, offloadAboveBytes: 120 };

test.for([
  { what: "small, in the rows", card: "4111-1111" },
  { what: "large, in the store", card: "4111-1111".repeat(50) },
])(
  "a flow of encrypted jobs ($what): results reach the next job, and compensations get what they undo",
  async (given) => {
    const reserve = defineJob({ name: "reserve", payload: card, result: card, ...sealed, unique: {} });
    const charge = defineJob({ name: "charge", payload: z.object({}), result: z.object({}) });
    const release = defineJob({
      name: "release",
      payload: z.object({ payload: card, result: card, flow: z.looseObject({ node: z.string() }) }),
      encrypt: true,
    });
    const seen: unknown[] = [];
    const swept: number[] = [];
    await bench.worker(
      [
        handle(reserve, ({ payload }) => ({ card: `reserved ${payload.card}` })),
        handle(charge, async (job) => {
          seen.push(await job.flow.resultOf("reserve", reserve));
          throw new NonRetryableError("no money");
        }),
        handle(release, async ({ payload }) => {
          // what the flow keeps is not swept, even when the job itself has left history
          await bench.ledger.query(`delete from ${bench.ledger.table("jobs_history")} where name = 'reserve'`, []);
          swept.push(await sweep());
          seen.push([payload.payload, payload.result, payload.flow.node]);
        }),
      ],
      { payloads },
    );
    const flow = defineFlow("order", (builder) => {
      const reserved = builder.job(reserve, { card: given.card }, { name: "reserve", compensate: release });
      builder.job(charge, {}, { name: "charge", after: reserved });
    });
    const { id } = await client.startFlow(flow);
    await waitFor(async () => (await bench.ledger.flows.find(id))?.state === "compensated", {
      what: "the flow to be undone",
    });
    const result = { card: `reserved ${given.card}` };
    expect(seen).toEqual([result, [{ card: given.card }, result, "reserve"]]);
    expect(swept).toEqual([0]);
    expect(await databaseText()).not.toContain("4111");
  },
);

test("a unique job that waits takes over the sealed payload of the newer one", async () => {
  const seen: string[] = [];
  const job = defineJob({ name: "sync", payload: card, ...sealed, unique: { by: () => "all", onConflict: "replace" } });
  const first = await client.enqueue(job, { card: "1".repeat(200) }, { delayMs: 1_000 });
  const second = await client.enqueue(job, { card: "2".repeat(200) }, { delayMs: 1_000 });
  const third = await client.enqueue(job, { card: "3" }, { delayMs: 1_000 });
  expect([second.id, third.id, third.deduplicated]).toEqual([first.id, first.id, "replaced"]);
  expect(await openPayload((await bench.ledger.findJob(first.id))!, payloads)).toEqual({ card: "3" });
  await bench.worker([handle(job, ({ payload }) => void seen.push(payload.card))], { payloads });
  await bench.until(first.id, "succeeded");
  expect(seen).toEqual(["3"]);
});

test("the successor of a running unique job keeps its sealed payload, and its object is not swept while it waits", async () => {
  const job = defineJob({
    name: "sync",
    payload: card,
    ...sealed,
    unique: { by: () => "all", onConflict: "keep-last" },
  });
  const { promise: go, resolve: letGo } = Promise.withResolvers<void>();
  const seen: string[] = [];
  await bench.worker(
    [
      handle(job, async ({ payload }) => {
        seen.push(payload.card);
        await go;
      }),
    ],
    { payloads },
  );
  const first = await client.enqueue(job, { card: "first" });
  await bench.until(first.id, "running");
  const last = "last".repeat(100);
  await client.enqueue(job, { card: last });
  expect(await sweep()).toBe(0);
  letGo();
  await waitFor(() => seen.length === 2, { what: "the successor" });
  expect(seen).toEqual(["first", last]);
});

test("all jobs of a schedule open the payload that the schedule was given, and no other job does", async () => {
  const job = defineJob({ name: "report", payload: card, ...sealed });
  const seen: string[] = [];
  await bench.worker([handle(job, ({ payload }) => void seen.push(payload.card))], { payloads });
  const given = { card: "x".repeat(200) };
  await client.schedules.upsert({ name: "nightly", job, payload: given, when: "every 1 hour" });
  const fired = [await client.schedules.trigger("nightly"), await client.schedules.trigger("nightly")];
  expect(await sweep()).toBe(0);
  for (const { id } of fired) await bench.until(id, "succeeded");
  expect(seen).toEqual([given.card, given.card]);
  const jobs = bench.ledger.table("jobs_history");
  const { rows } = await bench.ledger.query(`select payload from ${jobs} where id = $1`, [fired[0]!.id]);
  const [stranger] = await bench.ledger.enqueue([
    {
      queue: "default",
      name: "report",
      version: 1,
      payload: rows[0]?.["payload"],
      payloadForm: "a256gcm+object",
      schedule: "hourly",
      maxAttempts: 3,
      maxStalls: 3,
      correlationId: "c",
      sendBy: "dispatcher",
    },
  ]);
  const waiting = await bench.until(stranger!.id, "retrying");
  expect(waiting.errors[0]?.code).toBe("PAYLOAD_SEAL_BROKEN");
});
