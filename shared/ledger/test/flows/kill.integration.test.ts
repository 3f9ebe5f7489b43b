import type { Ledger, StartedFlow } from "@warren/ledger";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aFlow, done, type FlowWorld, failed, openFlowWorld, undo } from "./flow-world.ts";

let world: FlowWorld;
beforeAll(async () => {
  world = await openFlowWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** Settles in a transaction of its own: committed, and the process died before its follow-ups. */
async function endAndDie(flow: StartedFlow, node: string, outcome = done()): Promise<void> {
  const claimed = await world.claim(flow.jobs[node]!);
  await world.ledger.transaction((run) => world.ledger.settleIn(run, { ...claimed, outcome }));
}

async function sweepAll(): Promise<readonly string[]> {
  const ready: string[] = [];
  for (;;) {
    const swept = await world.ledger.flows.sweep({ limit: 100 });
    ready.push(...swept.ready.map(({ id }) => id));
    if (swept.signals === 0) return ready;
  }
}

test("a worker that dies between settling a job and following it up loses nothing: the sweep unblocks, once", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"], c: ["a"] }));
  await endAndDie(flow, "a");
  expect(await world.states(flow)).toMatchObject({ b: "blocked", c: "blocked" });
  expect([...(await sweepAll())].sort()).toEqual([flow.jobs["b"]!, flow.jobs["c"]!].sort());
  expect(await sweepAll()).toEqual([]);
  expect(await world.states(flow)).toMatchObject({ b: "ready", c: "ready" });
});

test("a redelivered message of a finished job starts nothing, and its follow-ups still happen, once", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
  await endAndDie(flow, "a");
  expect(await world.ledger.claim({ workerId: world.workerId, ids: [flow.jobs["a"]!] })).toEqual([]);
  await Promise.all([1, 2, 3].map(() => world.ledger.flows.follow([flow.jobs["a"]!])));
  expect(await world.states(flow)).toMatchObject({ b: "ready" });
  expect(await sweepAll()).toEqual([]);
});

test("a settlement whose answer was lost is repeated without a second follow-up", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
  const claimed = await world.claim(flow.jobs["a"]!);
  expect(await world.settle(claimed, done(1))).toBe("applied");
  await world.end(flow, "b", done());
  expect(await world.settle(claimed, done(1))).toBe("already");
  expect((await world.flow(flow)).state).toBe("succeeded");
});

test.for([
  { what: "the end", nodes: { a: [] }, outcome: done(), state: "succeeded" },
  { what: "the failure", nodes: { a: [], b: ["a"] }, outcome: failed, state: "failed" },
] as const)("$what of a flow is not lost with the process that caused it", async ({ nodes, outcome, state }) => {
  const flow = await world.ledger.flows.create(aFlow(nodes));
  await endAndDie(flow, "a", outcome);
  expect((await world.flow(flow)).state).toBe("running");
  await sweepAll();
  expect((await world.flow(flow)).state).toBe(state);
});

test("a compensation that is half way goes on after every death, and undoes each step once", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({
      a: { compensation: undo },
      b: { after: ["a"], compensation: undo },
      c: { after: ["b"], compensation: undo },
      d: ["c"],
    }),
  );
  for (const name of ["a", "b", "c"]) await world.end(flow, name, done());
  await endAndDie(flow, "d", failed);
  const undone: string[] = [];
  for (;;) {
    await sweepAll();
    const next = (await world.ledger.flows.tree(flow.id)).find(({ compensation }) => compensation?.state === "started");
    if (next === undefined) break;
    const claimed = await world.claim(next.compensation!.jobId!);
    await world.ledger.transaction((run) => world.ledger.settleIn(run, { ...claimed, outcome: done() }));
    undone.push(next.name);
  }
  expect(undone).toEqual(["c", "b", "a"]);
  expect((await world.flow(flow)).state).toBe("compensated");
});

/** Stops a session right before it would commit or inside a statement, by a lock that the test holds. */
async function withLock(text: string, values: readonly unknown[], work: (client: Client) => Promise<void>) {
  const client = new Client({ connectionString: world.world.databaseUrl });
  await client.connect();
  try {
    await client.query("begin");
    await client.query(text, [...values]);
    await work(client);
  } finally {
    await client.end();
  }
}

/** Waits until a session of the application waits for a lock, and kills it. */
async function killWaiting(application: string): Promise<void> {
  for (;;) {
    const { rows } = await world.ledger.query(
      `select pid, pg_terminate_backend(pid) from pg_stat_activity
       where application_name = $1 and datname = current_database() and wait_event_type = 'Lock'`,
      [application],
    );
    if (rows.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test.for([
  {
    when: "in the middle of unblocking",
    lock: (ledger: Ledger) => `select 1 from ${ledger.table("jobs")} where id = $1 for update`,
    on: "b",
    outcome: done(),
    after: "ready",
  },
  {
    when: "in the middle of failing the flow",
    lock: (ledger: Ledger) => `select 1 from ${ledger.table("jobs")} where id = $1 for update`,
    on: "b",
    outcome: failed,
    after: "cancelled",
  },
] as const)(
  "a dispatcher that is killed $when leaves its work to the next one",
  async ({ lock, on, outcome, after }) => {
    const dispatcher = await world.world.openAnother({ applicationName: "doomed", retries: 0 });
    const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
    await endAndDie(flow, "a", outcome);
    await withLock(lock(world.ledger), [flow.jobs[on]], async () => {
      const [sweep] = await Promise.allSettled([dispatcher.flows.sweep({ limit: 100 }), killWaiting("doomed")]);
      expect(sweep).toMatchObject({ status: "rejected", reason: { code: "LEDGER_UNAVAILABLE" } });
    });
    expect(await world.states(flow)).toMatchObject({ b: "blocked" });
    await sweepAll();
    expect(await world.states(flow)).toMatchObject({ b: after });
  },
);

test("a job that is being unblocked while its flow fails is cancelled, whichever comes first", async () => {
  for (let round = 0; round < 10; round += 1) {
    const flow = await world.ledger.flows.create(aFlow({ a: [], b: [], c: ["a"], d: ["b"] }));
    await endAndDie(flow, "a");
    await endAndDie(flow, "b", failed);
    const others = await Promise.all([
      world.ledger.flows.follow([flow.jobs["a"]!]),
      world.ledger.flows.follow([flow.jobs["b"]!]),
    ]);
    expect(others).toHaveLength(2);
    await sweepAll();
    expect(await world.states(flow)).toEqual({ a: "succeeded", b: "failed", c: "cancelled", d: "cancelled" });
    expect((await world.flow(flow)).state).toBe("failed");
  }
});

test("flows forget nothing too early, and everything in the end", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }, { key: "old" }));
  await world.end(flow, "a", failed);
  await world.ledger.maintainPartitions({ retentionDays: 7 });
  expect((await world.flow(flow)).state).toBe("failed");
  await world.ledger.query(
    `update ${world.ledger.table("flows")} set finished_at = finished_at - interval '8 days' where id = $1`,
    [flow.id],
  );
  expect((await world.ledger.maintainPartitions({ retentionDays: 7 })).flowsForgotten).toBe(1);
  expect(await world.ledger.flows.find(flow.id)).toBeUndefined();
  expect(await world.ledger.flows.tree(flow.id)).toEqual([]);
});
