import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@warren/ledger";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../src/define.ts";
import { type Client, createClient } from "../../src/enqueue/client.ts";
import { handle } from "../../src/handle.ts";
import { createFileStore } from "../../src/payloads/file-store.ts";
import { createKeyRing } from "../../src/payloads/key-ring.ts";
import { openPayload, sealPayload } from "../../src/payloads/payload.ts";
import { rotatePayloads } from "../../src/payloads/rotate.ts";
import type { Payloads } from "../../src/payloads/seal.ts";
import { sweepPayloads } from "../../src/payloads/sweep.ts";
import { type Bench, openBench } from "../fixture.ts";

let bench: Bench;
let directory: string;
let payloads: Required<Payloads>;
const keys = { k1: randomBytes(32), k2: randomBytes(32) };

beforeEach(async () => {
  bench = await openBench();
  directory = mkdtempSync(join(tmpdir(), "warren-upkeep-"));
  payloads = { keyRing: createKeyRing({ current: "k1", keys }), store: createFileStore({ directory }) };
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const clientOf = (own: Payloads): Client =>
  createClient({ ledger: bench.ledger, log: bench.log.logger, metrics: bench.metrics, payloads: own });
const note = z.object({ text: z.string() });
const big = defineJob({ name: "big", payload: note, offloadAboveBytes: 100 });
const secret = defineJob({ name: "secret", payload: note, encrypt: true });
const both = defineJob({ name: "both", payload: note, encrypt: true, offloadAboveBytes: 100 });
const long = (letter: string) => ({ text: letter.repeat(200) });

const objects = (): readonly string[] =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(payload|result)\./.test(path))
    .sort();

/** All objects look as if they had been written days ago. */
function age(): void {
  for (const path of objects()) utimesSync(join(directory, path), new Date(0), new Date(0));
}

async function sweepAll(): Promise<number> {
  let deleted = 0;
  for (let turn = 0; turn < 20; turn += 1) {
    const swept = await sweepPayloads({ store: payloads.store!, ledger: bench.ledger, everyMs: 0, pageSize: 3 });
    deleted += swept.deleted;
    if (!swept.more) return deleted;
  }
  throw new Error("the sweep does not end");
}

test("the sweep deletes what no job refers to, and nothing else", async () => {
  const client = clientOf(payloads);
  const waiting = await client.enqueue(big, long("a"));
  const finished = await client.enqueue(defineJob({ ...options(big), result: z.string(), name: "big" }), long("b"));
  await bench.worker(
    [handle(defineJob({ ...options(big), result: z.string() }), ({ payload }) => payload.text.repeat(2))],
    {
      payloads,
    },
  );
  const scheduled = await client.enqueue(both, long("c"), { delayMs: 3_600_000 });
  bench.dispatch();
  for (const { id } of [waiting, finished]) await bench.until(id, "succeeded");
  // of a transaction that was rolled back, of an id that was known, of a payload that was replaced, and much too young
  await expect(
    bench.ledger.transaction(async (tx) => {
      await client.enqueue(big, long("d"), { tx });
      throw new Error("rolled back");
    }),
  ).rejects.toThrow("rolled back");
  await client.enqueue(big, long("e"), { id: "order-1", delayMs: 3_600_000 });
  await client.enqueue(big, long("f"), { id: "order-1" });
  await sealPayload({ id: scheduled.id, name: "both", payloadForm: "a256gcm+object" }, long("g"), payloads, both);
  const kept = objects().filter((path) => [waiting.id, finished.id].some((id) => path.includes(id)));
  expect([kept.length, objects().length]).toEqual([4, 9]);

  expect(await sweepAll()).toBe(0);
  age();
  await client.enqueue(big, long("h"), { delayMs: 3_600_000 });
  await expect(
    bench.ledger.transaction(async (tx) => {
      await client.enqueue(big, long("i"), { tx });
      throw new Error("rolled back");
    }),
  ).rejects.toThrow("rolled back");
  expect(await sweepAll()).toBe(3);
  expect(objects()).toHaveLength(8);
  expect(objects().filter((path) => kept.includes(path))).toEqual(kept);
  const job = await bench.ledger.findJob(scheduled.id);
  expect(await openPayload(job!, payloads)).toEqual(long("c"));
});

test("objects of history that was dropped are swept", async () => {
  const client = clientOf(payloads);
  await bench.worker([handle(big, () => undefined)], { payloads });
  bench.dispatch();
  const { id } = await client.enqueue(big, long("a"));
  await bench.until(id, "succeeded");
  age();
  expect(await sweepAll()).toBe(0);
  await bench.ledger.query(`delete from ${bench.ledger.table("jobs_history")} where id = $1`, [id]);
  expect([await sweepAll(), objects()]).toEqual([1, []]);
});

test("one process has the turn at a time, and the next full sweep waits its time", async () => {
  const sweep = { store: payloads.store!.name, everyMs: 3_600_000 };
  const turn = await bench.ledger.payloads.takeSweep(sweep);
  expect(turn).toMatchObject({ owner: expect.any(String), position: undefined });
  expect(await bench.ledger.payloads.takeSweep(sweep)).toBeUndefined();
  await bench.ledger.payloads.endSweep({ store: sweep.store, position: "aa/x", finished: false });
  expect(await bench.ledger.payloads.takeSweep(sweep)).toMatchObject({ position: "aa/x" });
  await bench.ledger.payloads.endSweep({ store: sweep.store, position: undefined, finished: true });
  expect(await bench.ledger.payloads.takeSweep(sweep)).toBeUndefined();
  expect(await bench.ledger.payloads.takeSweep({ ...sweep, everyMs: 0 })).toBeDefined();
});

test("a store that belongs to another ledger is not swept", async () => {
  await using other = await openBench();
  const client = createClient({ ledger: other.ledger, log: other.log.logger, metrics: other.metrics, payloads });
  await client.enqueue(big, long("a"));
  await sweepPayloads({ store: payloads.store!, ledger: other.ledger });
  age();
  await expect(sweepAll()).rejects.toMatchObject({ code: "PAYLOAD_STORE_FOREIGN" });
  expect(objects()).toHaveLength(1);
});

test("rotation encrypts unfinished jobs anew, and the old key is needed no more", async () => {
  const client = clientOf(payloads);
  const jobs = [];
  for (let index = 0; index < 12; index += 1) {
    const definition = index % 2 === 0 ? secret : both;
    jobs.push({ definition, ...(await client.enqueue(definition, long(String(index % 10)), { delayMs: 3_600_000 })) });
  }
  const unique = await client.enqueue(secret, long("u"), { delayMs: 3_600_000, unique: { key: "u" } });
  const plain = await client.enqueue(big, long("p"), { delayMs: 3_600_000 });
  const next = { ...payloads, keyRing: createKeyRing({ current: "k2", keys }) };
  const rotate = () => rotatePayloads({ ledger: bench.ledger, payloads: next, batchSize: 5 });
  expect(await rotate()).toEqual({ rotated: 13, current: 0, busy: 0, failed: [] });
  expect(await rotate()).toEqual({ rotated: 0, current: 13, busy: 0, failed: [] });

  const onlyNew = { ...payloads, keyRing: createKeyRing({ current: "k2", keys: { k2: keys.k2 } }) };
  const texts: string[] = [];
  const handler = (definition: typeof secret) => handle(definition, ({ payload }) => void texts.push(payload.text));
  await bench.worker([handler(secret), handler(both), handler(big)], { payloads: onlyNew });
  await bench.ledger.query(`update ${bench.ledger.table("jobs")} set run_at = now()`, []);
  bench.dispatch();
  for (const { id } of [...jobs, unique, plain]) await bench.until(id, "succeeded");
  expect(texts.sort()).toEqual(
    "012345678901up"
      .split("")
      .map((letter) => letter.repeat(200))
      .sort(),
  );
});

test("rotation tells which payloads it could not open, and goes on", async () => {
  const strange = { ...payloads, keyRing: createKeyRing({ current: "k9", keys: { k9: randomBytes(32) } }) };
  const lost = await clientOf(strange).enqueue(secret, long("a"), { delayMs: 3_600_000 });
  await clientOf(payloads).enqueue(secret, long("b"), { delayMs: 3_600_000 });
  const next = { ...payloads, keyRing: createKeyRing({ current: "k2", keys }) };
  expect(await rotatePayloads({ ledger: bench.ledger, payloads: next })).toEqual({
    rotated: 1,
    current: 0,
    busy: 0,
    failed: [{ id: lost.id, code: "PAYLOAD_KEY_UNKNOWN" }],
  });
});

test("a payload that was edited while it was rotated keeps the edit", async () => {
  const { id } = await clientOf(payloads).enqueue(secret, long("a"), { delayMs: 3_600_000 });
  const [job] = await bench.ledger.payloads.sealed({ after: undefined, limit: 5 });
  const edit = { ...job!, ...(await sealPayload(job!, long("b"), payloads)) };
  await bench.ledger.query(`update ${bench.ledger.table("jobs")} set payload = $2::jsonb where id = $1`, [
    id,
    JSON.stringify(edit.payload),
  ]);
  const late = { id, before: job!.payload, payload: { late: true }, payloadForm: "a256gcm" };
  expect(await bench.ledger.payloads.reseal([late])).toEqual([]);
  expect(await openPayload((await bench.ledger.findJob(id))!, payloads)).toEqual(long("b"));
  expect(await bench.ledger.payloads.referenced([{ key: "x", jobId: newId() }])).toEqual(new Set());
});

function options({ name, payload, offloadAboveBytes }: typeof big) {
  return { name, payload, ...(offloadAboveBytes === undefined ? {} : { offloadAboveBytes }) };
}
