import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../src/define.ts";
import { type Client, createClient } from "../../src/enqueue/client.ts";
import { handle } from "../../src/handle.ts";
import { createFileStore } from "../../src/payloads/file-store.ts";
import { createKeyRing } from "../../src/payloads/key-ring.ts";
import { openPayload, openResult } from "../../src/payloads/payload.ts";
import type { Payloads } from "../../src/payloads/seal.ts";
import { viewJob } from "../../src/payloads/view.ts";
import { type Bench, openBench } from "../fixture.ts";

let bench: Bench;
let directory: string;
let payloads: Required<Payloads>;
let client: Client;

beforeEach(async () => {
  bench = await openBench();
  directory = mkdtempSync(join(tmpdir(), "warren-sealed-"));
  payloads = {
    keyRing: createKeyRing({ current: "k1", keys: { k1: randomBytes(32) } }),
    store: createFileStore({ directory }),
  };
  client = createClient({ ledger: bench.ledger, log: bench.log.logger, metrics: bench.metrics, payloads });
  bench.dispatch();
});
afterEach(async () => {
  await client[Symbol.asyncDispose]();
  await bench[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const shapes = {
  payload: z.object({ card: z.string(), scan: z.string().default("") }),
  result: z.object({ receipt: z.string() }),
};
const charge = defineJob({
  name: "charge",
  ...shapes,
  encrypt: true,
  search: ["card"],
  backoff: { kind: "fixed", delayMs: 10 },
});
const scan = defineJob({
  name: "scan",
  ...shapes,
  offloadAboveBytes: 1_000,
  maxPayloadBytes: 5_000_000,
  maxResultBytes: 5_000_000,
});
const secretScan = defineJob({ name: "secret-scan", ...shapes, encrypt: true, offloadAboveBytes: 1_000 });

const objects = (): readonly string[] =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((path) => /\.(payload|result)\./.test(path));

/** Everything that Postgres keeps of a job, as text. */
async function rowText(id: string): Promise<string> {
  const tables = [bench.ledger.table("jobs"), bench.ledger.table("jobs_history")];
  const selects = tables.map((table) => `select to_jsonb(t)::text as row from ${table} t where id = $1`);
  const { rows } = await bench.ledger.query(selects.join(" union all "), [id]);
  return String(rows[0]?.["row"]);
}

test("an encrypted job reaches its handler in plain, and nothing of it is in the row, the log or the message", async () => {
  const seen: unknown[] = [];
  await bench.worker([handle(charge, ({ payload }) => (seen.push(payload), { receipt: `for ${payload.card}` }))], {
    payloads,
  });
  const { id } = await client.enqueue(charge, { card: "4111-1111" });
  const job = await bench.until(id, "succeeded");
  expect(seen).toEqual([{ card: "4111-1111", scan: "" }]);
  expect(job.payloadForm).toBe("a256gcm");
  // the one place where it was asked for
  expect(job.attributes).toEqual({ card: "4111-1111" });
  expect((await rowText(id)).replace('"card": "4111-1111"', "")).not.toContain("4111");
  expect(JSON.stringify(bench.log.lines)).not.toContain("4111");
  expect(await openPayload(job, payloads)).toEqual({ card: "4111-1111" });
  expect(await openResult(job, payloads)).toEqual({ receipt: "for 4111-1111" });
});

test("who looks at a job without the keys sees what is hidden; who has them sees it all", async () => {
  await bench.worker([handle(secretScan, ({ payload }) => ({ receipt: payload.scan }))], { payloads });
  const data = { card: "4111", scan: "s".repeat(2_000) };
  const { id } = await client.enqueue(secretScan, data);
  const job = await bench.until(id, "succeeded");
  const blind = await viewJob(job);
  expect(blind.payload).toEqual({ encrypted: { keyId: "k1" }, offloaded: { bytes: expect.any(Number) } });
  expect(blind.result).toEqual({ encrypted: { keyId: "k1" }, offloaded: { bytes: expect.any(Number) } });
  const seeing = await viewJob(job, payloads);
  expect([seeing.payload, seeing.result]).toEqual([data, { receipt: data.scan }]);
  const strange = createKeyRing({ current: "k9", keys: { k9: randomBytes(32) } });
  expect((await viewJob(job, { ...payloads, keyRing: strange })).payload).toMatchObject({
    code: "PAYLOAD_KEY_UNKNOWN",
  });
});

test("a large payload and a large result travel through the store; small ones stay in their rows", async () => {
  const big = "й".repeat(1_000_000);
  await bench.worker([handle(scan, ({ payload }) => ({ receipt: payload.scan }))], { payloads });
  const { id } = await client.enqueue(scan, { card: "1", scan: big });
  const small = await client.enqueue(scan, { card: "1" });
  const job = await bench.until(id, "succeeded");
  expect(await openResult(job, payloads)).toEqual({ receipt: big });
  expect((await rowText(id)).length).toBeLessThan(3_000);
  expect((await bench.until(small.id, "succeeded")).payloadForm).toBeUndefined();
  expect(objects().filter((path) => path.includes(id))).toHaveLength(2);
  expect(objects().filter((path) => path.includes(small.id))).toHaveLength(0);
});

test("many at once, some large and some small, and inside the caller's transaction", async () => {
  const cards: string[] = [];
  await bench.worker([handle(secretScan, ({ payload }) => (cards.push(payload.card), { receipt: "" }))], { payloads });
  const items = Array.from({ length: 40 }, (_, index) => ({
    payload: { card: String(index), scan: index % 2 === 0 ? "" : "x".repeat(1_500) },
  }));
  const added = await client.enqueueMany(secretScan, items);
  const inside = await bench.ledger.transaction((tx) => client.enqueue(secretScan, { card: "tx" }, { tx }));
  for (const { id, created } of [...added, inside]) {
    expect(created).toBe(true);
    await bench.until(id, "succeeded");
  }
  expect(cards.sort()).toEqual([...items.map(({ payload }) => payload.card), "tx"].sort());
});

test("the same id makes one job, whose sealed payload is the first one's", async () => {
  const one = await client.enqueue(charge, { card: "first" }, { id: "order-1" });
  const two = await client.enqueue(charge, { card: "second" }, { id: "order-1" });
  expect([two.id, two.created]).toEqual([one.id, false]);
  const cards: string[] = [];
  await bench.worker([handle(charge, ({ payload }) => (cards.push(payload.card), { receipt: "" }))], { payloads });
  await bench.until(one.id, "succeeded");
  expect(cards).toEqual(["first"]);
});

test("errors of an encrypted job do not quote its data, in the ledger or the log; with the key they can be read", async () => {
  const failing = defineJob({ name: "failing", ...shapes, encrypt: true, attempts: 1 });
  await bench.worker(
    [
      handle(failing, ({ payload }) => {
        throw new Error(`card ${payload.card} was refused`);
      }),
    ],
    { payloads },
  );
  const { id } = await client.enqueue(failing, { card: "4111-2222" });
  const job = await bench.until(id, "dead");
  expect([job.reason, job.errors[0]?.code]).toEqual(["JOB_ATTEMPTS_EXHAUSTED", "JOB_FAILED"]);
  expect(await rowText(id)).not.toContain("4111");
  expect(JSON.stringify(bench.log.lines)).not.toContain("4111");
  expect((await viewJob(job)).errors[0]?.message).toContain("hidden");
  expect((await viewJob(job, payloads)).errors[0]).toMatchObject({
    message: "card 4111-2222 was refused",
    stack: expect.stringContaining("sealed.integration"),
  });
});

test("a result completed inside the handler's own transaction is sealed as well", async () => {
  await bench.worker(
    [
      handle(charge, async (job) => {
        const result = { receipt: "in the transaction" };
        await bench.ledger.transaction((tx) => job.complete(tx, result));
        return result;
      }),
    ],
    { payloads },
  );
  const { id } = await client.enqueue(charge, { card: "1" });
  const job = await bench.until(id, "succeeded");
  expect(JSON.stringify(job.result)).not.toContain("transaction");
  expect(await openResult(job, payloads)).toEqual({ receipt: "in the transaction" });
});

test("a lost object is waited for without losing an attempt, and the job runs when it is back", async () => {
  const attempts: number[] = [];
  const { id } = await client.enqueue(scan, { card: "1", scan: "x".repeat(2_000) });
  const path = join(directory, objects()[0]!);
  const whole = readFileSync(path);
  rmSync(path);
  await bench.worker([handle(scan, ({ attempt }) => (attempts.push(attempt), { receipt: "" }))], { payloads });
  const waiting = await bench.until(id, "retrying");
  expect([waiting.attempt - waiting.excused, waiting.errors[0]?.code]).toEqual([0, "PAYLOAD_OBJECT_MISSING"]);
  writeFileSync(path, whole);
  await bench.until(id, "succeeded");
  expect(attempts).toEqual([1]);
});

test.for([
  { what: "is lost", code: "PAYLOAD_OBJECT_MISSING", harm: (path: string) => rmSync(path) },
  { what: "is not what was written", code: "PAYLOAD_OBJECT_CORRUPT", harm: (path: string) => writeFileSync(path, "x") },
])("a job whose object $what is dead in the end, with that code", async ({ code, harm }) => {
  const { id } = await client.enqueue(scan, { card: "1", scan: "x".repeat(2_000) });
  harm(join(directory, objects()[0]!));
  // as after twenty minutes of waiting
  await bench.ledger.query(`update ${bench.ledger.table("jobs")} set attempt = 25, excused = 25 where id = $1`, [id]);
  await bench.worker([handle(scan, () => ({ receipt: "" }))], { payloads });
  const job = await bench.until(id, "dead");
  expect([job.reason, job.errors.at(-1)?.code]).toEqual([code, code]);
});

test("a worker with other keys hands the job back; one that has the key runs it", async () => {
  const { id } = await client.enqueue(charge, { card: "1" });
  const keyRing = createKeyRing({ current: "k2", keys: { k2: randomBytes(32) } });
  let ran = 0;
  const handler = handle(charge, () => ((ran += 1), { receipt: "" }));
  const stranger = await bench.worker([handler], { payloads: { keyRing } });
  expect((await bench.until(id, "retrying")).errors[0]).toMatchObject({
    code: "PAYLOAD_KEY_UNKNOWN",
    message: expect.stringContaining('key "k1"; known: k2'),
  });
  expect(ran).toBe(0);
  await stranger[Symbol.asyncDispose]();
  await bench.worker([handler], { payloads });
  await bench.until(id, "succeeded");
});

test("a row whose ciphertext was swapped with another job's never reaches the handler", async () => {
  const one = await client.enqueue(charge, { card: "one" });
  const two = await client.enqueue(charge, { card: "two" });
  const jobs = bench.ledger.table("jobs");
  await bench.ledger.query(`update ${jobs} set payload = (select payload from ${jobs} where id = $2) where id = $1`, [
    one.id,
    two.id,
  ]);
  const cards: string[] = [];
  await bench.worker([handle(charge, ({ payload }) => (cards.push(payload.card), { receipt: "" }))], { payloads });
  await bench.until(two.id, "succeeded");
  const waiting = await waitFor(async () => {
    const job = await bench.ledger.findJob(one.id);
    return job?.errors.length === 1 ? job : undefined;
  });
  expect([waiting.errors[0]?.code, cards]).toEqual(["PAYLOAD_SEAL_BROKEN", ["two"]]);
});

test("a client or worker that lacks keys or store says so at once, and writes nothing", async () => {
  await expect(bench.client.enqueue(charge, { card: "1" })).rejects.toMatchObject({ code: "PAYLOAD_KEY_RING_MISSING" });
  await expect(bench.client.enqueue(scan, { card: "x".repeat(2_000) })).rejects.toMatchObject({
    code: "PAYLOAD_STORE_MISSING",
  });
  await expect(bench.worker([handle(charge, () => ({ receipt: "" }))])).rejects.toMatchObject({
    code: "PAYLOAD_KEY_RING_MISSING",
  });
  await expect(bench.worker([handle(scan, () => ({ receipt: "" }))])).rejects.toMatchObject({
    code: "PAYLOAD_STORE_MISSING",
  });
  const { rows } = await bench.ledger.query(`select count(*)::int as jobs from ${bench.ledger.table("jobs")}`, []);
  expect(rows).toEqual([{ jobs: 0 }]);
});

test("a result that is too large, or no JSON, makes the job dead with a clear reason", async () => {
  const loose = defineJob({ name: "loose", payload: z.object({ what: z.string() }), maxResultBytes: 100 });
  const cycle: Record<string, unknown> = {};
  cycle["self"] = { again: cycle };
  const results: Record<string, unknown> = { large: "й".repeat(60), cycle, bigint: { n: 1n }, nan: [Number.NaN] };
  await bench.worker([handle(loose, ({ payload }) => results[payload.what])]);
  const ends = await Promise.all(
    Object.keys(results).map(async (what) => {
      const { id } = await client.enqueue(loose, { what });
      const { reason, errors } = await bench.until(id, "dead");
      return [what, reason, errors[0]?.message];
    }),
  );
  expect(ends).toEqual([
    ["large", "JOB_RESULT_TOO_LARGE", expect.stringContaining("takes 122 bytes")],
    ["cycle", "JOB_RESULT_UNSERIALISABLE", expect.stringContaining("self.again")],
    ["bigint", "JOB_RESULT_UNSERIALISABLE", expect.stringContaining("result of loose.n")],
    ["nan", "JOB_RESULT_UNSERIALISABLE", expect.stringContaining("NaN")],
  ]);
});
