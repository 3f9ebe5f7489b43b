import { type Ledger, migrate, newId, openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { createWorld, type World } from "@warren/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { databaseOf, shell } from "./shell.ts";

const log = createLogger({ service: "test", level: "silent" });

let world: World;
let ledger: Ledger;
beforeAll(async () => {
  world = await createWorld();
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  ledger = await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log, poolSize: 2 });
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const run = (...args: readonly string[]) => shell({ environment: databaseOf(world) }, args);

const job = {
  queue: "q",
  name: "j",
  version: 1,
  payload: 1,
  maxAttempts: 1,
  maxStalls: 1,
  correlationId: "c",
  sendBy: "dispatcher",
} as const;
const node = (name: string, ...after: readonly string[]) =>
  ({ name, job, after, onFailure: "fail", startOnFailure: false }) as const;
const start = (key: string) =>
  ledger.flows.create({ name: "order", key, correlationId: "c", nodes: [node("a"), node("b", "a")] });

const unknown = "01890000-0000-7000-8000-000000000000";

test("a flow is listed and shown with its nodes, for people and as JSON", async () => {
  const flow = await start("o-1");
  const listed = await run("flow", "list", "--name", "order", "--state", "running");
  expect(listed.stdout.split("\n")[1]).toMatch(new RegExp(`^${flow.id}\torder\to-1\trunning\t`));
  const shown = await run("flow", "show", flow.id);
  expect(shown.exitCode).toBe(0);
  expect(shown.stdout.split("\n").slice(0, 4)).toEqual([
    "flow order o-1: running",
    "node\tstate\tjob\tafter\treason\tundo\tid",
    `a\tready\tj\t\t\t\t${flow.jobs["a"]}`,
    `b\tblocked\tj\ta\t\t\t${flow.jobs["b"]}`,
  ]);
  const json: unknown = JSON.parse((await run("-o", "json", "flow", "show", flow.id)).stdout);
  expect(json).toMatchObject({ id: flow.id, state: "running", nodes: [{ name: "a" }, { name: "b", after: ["a"] }] });
});

test("a flow is cancelled, retried and removed, each only where it makes sense", async () => {
  const flow = await start("o-2");
  expect((await run("flow", "remove", flow.id)).stderr).toMatch(/^error FLOW_NOT_REMOVABLE: [^]*\nfix: /);
  expect((await run("flow", "retry", flow.id)).stderr).toMatch(/^error FLOW_NOT_RETRIABLE: /);
  const cancelled = await run("flow", "cancel", flow.id, "--reason", "changed", "--by", "anna");
  expect(cancelled).toMatchObject({ exitCode: 0, stdout: "flow order o-2: cancelled (changed, by anna)\n" });
  expect(await run("flow", "cancel", flow.id)).toMatchObject({ exitCode: 3 });
  expect((await run("flow", "retry", flow.id, "nope")).stderr).toMatch(/^error FLOW_NODE_UNKNOWN: /);
  expect(await run("flow", "retry", flow.id)).toMatchObject({ exitCode: 0, stdout: "runs again: a, b\n" });
  const workerId = newId();
  await ledger.registerWorker({ id: workerId, host: "h", pid: 1, version: "", queues: [], concurrency: 1 });
  await ledger.claim({ workerId, ids: [flow.jobs["a"] ?? ""] });
  await ledger.settle({
    id: flow.jobs["a"] ?? "",
    attempt: 1,
    workerId,
    outcome: { kind: "dead", reason: "X", error: { code: "X", message: "x" } },
  });
  expect((await run("flow", "show", flow.id)).stdout).toContain("flow order o-2: failed (node a, X, run 2)");
  expect(await run("flow", "remove", flow.id)).toMatchObject({ exitCode: 0 });
  expect(await run("flow", "show", flow.id)).toMatchObject({ exitCode: 4 });
});

test("an unknown flow and a malformed id are told apart", async () => {
  for (const command of ["show", "cancel", "retry", "remove"]) {
    expect(await run("flow", command, unknown)).toMatchObject({ exitCode: 4 });
    expect(await run("flow", command, "17")).toMatchObject({ exitCode: 2 });
  }
  expect(await run("flow", "list", "--state", "odd")).toMatchObject({ exitCode: 2 });
  expect(await run("flow", "list", "--limit", "0")).toMatchObject({ exitCode: 2 });
});
