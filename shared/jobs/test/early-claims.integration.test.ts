import { openSession } from "@warren/amqp";
import { type Ledger, LedgerUnavailableError, migrate, openLedger } from "@warren/ledger";
import { type Database, startPrivateDatabase, stopWalWriter, waitFor } from "@warren/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { createClient } from "../src/enqueue/client.ts";
import { handle } from "../src/handle.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
let postgres: Database;
let ledger: Ledger;
beforeAll(async () => {
  bench = await openBench();
  // Postgres itself writes early claims within 600 ms; here only a commit that waits for the disk does
  postgres = await startPrivateDatabase({ autovacuum: "off" });
  await stopWalWriter(postgres);
  const log = bench.log.logger;
  await migrate({ connectionString: postgres.url, log });
  ledger = await openLedger({ connectionString: postgres.url, log });
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  await ledger[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

const note = defineJob({ name: "note", payload: z.object({ n: z.number() }) });

const answers = (): Promise<true> => waitFor(() => ledger.ping().then(() => true as const));

async function enqueue(): Promise<string> {
  await using client = createClient({
    ledger,
    publisher: bench.session.publisher(),
    log: bench.log.logger,
    metrics: bench.metrics,
  });
  return (await client.enqueue(note, { n: 1 })).id;
}

const succeeded = (id: string) =>
  waitFor(async () => {
    const job = await ledger.findJob(id);
    return job?.state === "succeeded" ? job : undefined;
  });

const away = () => Promise.reject(new LedgerUnavailableError("cut off"));

/** A worker's ledger that can be cut off. Its beats write nothing, since every write that waits for the disk takes earlier ones with it. */
function cuttable(): { readonly ledger: Ledger; cut: boolean } {
  const alive = { alive: true, cancels: [], watches: [] };
  const it = {
    cut: false,
    ledger: {
      ...ledger,
      beat: () => Promise.resolve(alive),
      confirmClaims: (...given: Parameters<Ledger["confirmClaims"]>) =>
        it.cut ? away() : ledger.confirmClaims(...given),
      settle: (given: Parameters<Ledger["settle"]>[0]) => (it.cut ? away() : ledger.settle(given)),
      retireWorker: (id: string) => (it.cut ? away() : ledger.retireWorker(id)),
    },
  };
  return it;
}

async function crash(id: string): Promise<void> {
  await postgres.kill();
  await postgres.start();
  await stopWalWriter(postgres);
  await answers();
  expect(await ledger.findJob(id)).toMatchObject({ state: "ready", attempt: 0 });
}

test("Postgres crashes and forgets a claim: its job is claimed again under the attempt that runs, and succeeds in one run", async () => {
  const its = cuttable();
  const { promise: end, resolve } = Promise.withResolvers<void>();
  let runs = 0;
  const handler = handle(note, () => {
    its.cut = true;
    runs += 1;
    return end;
  });
  await using worker = await bench.worker([handler], { ledger: its.ledger });
  const id = await enqueue();
  await waitFor(() => runs === 1, { intervalMs: 1 });
  await crash(id);
  its.cut = false;
  resolve();
  expect(worker.state).toBe("running");
  const job = await succeeded(id);
  expect([job.attempt, job.stalls, runs]).toEqual([1, 0, 1]);
});

test("Postgres forgets a claim and its worker dies too: the message was not acked, and brings the job to another worker", async () => {
  const { logger: log } = bench.log;
  const session = await openSession({ urls: [bench.world.amqpUrl], name: "dying", log, metrics: bench.metrics });
  const its = cuttable();
  const { promise: never } = Promise.withResolvers<void>();
  const handler = handle(note, () => {
    its.cut = true;
    return never;
  });
  await bench.worker([handler], { ledger: its.ledger, session });
  const id = await enqueue();
  await waitFor(() => its.cut, { intervalMs: 1 });
  await crash(id);
  await bench.worker([handle(note, () => undefined)], { ledger });
  await session[Symbol.asyncDispose]();
  expect(await succeeded(id)).toMatchObject({ attempt: 1 });
});
