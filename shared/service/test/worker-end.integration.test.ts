import { jobsTopology, openSession } from "@warren/amqp";
import { type Client, createClient } from "@warren/jobs";
import { type Ledger, migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";
import { createWorld, type ServiceProcess, spawnService, type World, waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { task } from "./fixtures/worker-jobs.ts";

let stack: AsyncDisposableStack;
let world: World;
let ledger: Ledger;
let client: Client;
const log = createLogger({ service: "test", level: "fatal", destination: { write: () => undefined } });

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  world = stack.use(await createWorld());
  const { databaseUrl: connectionString, schema } = world;
  await migrate({ connectionString, schema, log });
  const metrics = createMetrics({ service: "test", version: "0" });
  ledger = stack.use(await openLedger({ connectionString, schema, log }));
  const session = stack.use(await openSession({ urls: [world.amqpUrl], name: "test", log, metrics }));
  await session.declare(jobsTopology({ queues: [task.queue] }));
  client = stack.use(createClient({ ledger, publisher: stack.use(session.publisher()), log, metrics }));
});
afterEach(async () => {
  await stack.disposeAsync();
});

async function startWorker(
  env: Record<string, string> = {},
  ready: { readonly readyPath?: null } = {},
): Promise<ServiceProcess> {
  const service = await spawnService({
    ...ready,
    entry: "shared/service/test/fixtures/worker-service.ts",
    env: {
      AMQP_URL: world.amqpUrl,
      DATABASE_URL: world.databaseUrl,
      WARREN_SCHEMA: world.schema,
      WARREN_SHUTDOWN_TIMEOUT_MS: "60000",
      ...env,
    },
  });
  return stack.use(service);
}

const started = (service: ServiceProcess) => service.waitForRecord((record) => record["msg"] === "task started");
const messages = (service: ServiceProcess) => service.records().map((record) => record["msg"]);

async function enqueue(takesMs: number, heedsSignal = true): Promise<string> {
  return (await client.enqueue(task, { takesMs, heedsSignal })).id;
}

async function succeeded(ids: readonly string[]): Promise<boolean> {
  const jobs = await Promise.all(ids.map((id) => ledger.findJob(id)));
  return jobs.every((job) => job?.state === "succeeded");
}

test("warm: after SIGTERM a long job runs to its end; heartbeats to broker and ledger go on, and nobody else gets it", async () => {
  const leaving = await startWorker();
  // longer than the broker waits for a silent peer (two heartbeats of 5 s)
  const id = await enqueue(14_000);
  await started(leaving);
  leaving.signal("SIGTERM");
  await leaving.waitForRecord((record) => record["msg"] === "signal received, stopping");
  const beats = async () => new Map((await ledger.beats()).map((beat) => [beat.pid, Number(beat.beatSeq)]));
  const before = (await beats()).get(leaving.pid) ?? Number.NaN;
  const other = await startWorker();
  const next = await enqueue(0);
  await waitFor(() => succeeded([next]), { what: "a new job to run in the new worker" });
  expect(await leaving.exited).toMatchObject({ code: 0 });
  const job = await ledger.findJob(id);
  expect([job?.state, job?.result, job?.attempt, job?.stalls]).toEqual(["succeeded", leaving.pid, 1, 0]);
  const after = await ledger.query(`select beat_seq, ended_as from ${ledger.table("workers")} where pid = $1`, [
    leaving.pid,
  ]);
  expect(Number(after.rows[0]?.["beat_seq"])).toBeGreaterThan(before + 10);
  expect(after.rows[0]?.["ended_as"]).toBe("retired");
  // one connection for publishing and one for consuming, from start to end
  expect(messages(leaving).filter((message) => message === "connected to the broker")).toHaveLength(2);
  expect(messages(other)).not.toContain("connection to the broker lost");
  expect(leaving.records()).toContainEqual(expect.objectContaining({ msg: "service stopped", orderly: true }));
});

test("soft: what ends within the timeout, ends; what heeds its signal after it is handed back, and loses no attempt", async () => {
  const leaving = await startWorker({ WARREN_SHUTDOWN_TIMEOUT_MS: "1500" });
  const short = await enqueue(800);
  const long = await enqueue(600_000);
  await started(leaving);
  await waitFor(() => messages(leaving).filter((message) => message === "task started").length === 2);
  leaving.signal("SIGTERM");
  expect(await leaving.exited).toMatchObject({ code: 0 });
  expect(await succeeded([short])).toBe(true);
  const job = await ledger.findJob(long);
  expect([job?.state, job?.attempt, job?.excused, job?.stalls]).toEqual(["ready", 1, 1, 0]);
});

test("hard: what ignores its signal is handed back as well, and the process ends in time", async () => {
  const leaving = await startWorker({ WARREN_SHUTDOWN_TIMEOUT_MS: "300" });
  const id = await enqueue(600_000, false);
  await started(leaving);
  leaving.signal("SIGTERM");
  // the handler would go on for ten minutes
  expect(await leaving.exited).toMatchObject({ code: 0 });
  const job = await ledger.findJob(id);
  expect([job?.state, job?.excused]).toEqual(["ready", 1]);
});

test("a second signal ends the time to finish: the job is handed back at once, and no attempt is lost", async () => {
  const leaving = await startWorker();
  const id = await enqueue(600_000);
  await started(leaving);
  leaving.signal("SIGTERM");
  await leaving.waitForRecord((record) => record["msg"] === "signal received, stopping");
  expect((await ledger.findJob(id))?.state).toBe("running");
  leaving.signal("SIGTERM");
  expect(await leaving.exited).toMatchObject({ code: 143 });
  const job = await ledger.findJob(id);
  expect([job?.state, job?.excused, job?.stalls]).toEqual(["ready", 1, 0]);
  expect(leaving.records()).toContainEqual(expect.objectContaining({ msg: "service stopped", orderly: true }));
});

test("a worker that recycles ends with 75 after its jobs, and between two of them nothing is lost", async () => {
  // longer, for four at once, than the second in which it looks at its count
  const ids = (
    await client.enqueueMany(
      task,
      Array.from({ length: 200 }, () => ({ payload: { takesMs: 50, heedsSignal: true } })),
    )
  ).map(({ id }) => id);
  const codes: number[] = [];
  while (!(await succeeded(ids))) {
    // it may have done its jobs and ended before anybody sees it ready
    const worker = await startWorker({ RECYCLE_AFTER_JOBS: "60" }, { readyPath: null });
    const done = waitFor(() => succeeded(ids), { timeoutMs: 45_000 }).then(() => undefined);
    done.catch(() => undefined);
    codes.push((await Promise.race([worker.exited, done]))?.code ?? 75);
  }
  expect(codes.length).toBeGreaterThan(1);
  expect(new Set(codes)).toEqual(new Set([75]));
  const { rows } = await ledger.query(
    `select count(*)::int as n from ${ledger.table("jobs_history")} where attempt - excused <> 1`,
    [],
  );
  expect(rows[0]?.["n"]).toBe(0);
});
