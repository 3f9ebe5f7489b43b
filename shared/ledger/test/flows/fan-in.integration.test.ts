import { type Ledger, type SendableJob } from "@warren/ledger";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { aFlow, done, openFlowWorld } from "./flow-world.ts";

const children = 10_000;
const perClaim = 500;

/** Rows that a process's sessions have written, by table. Sessions report when they end. */
async function written(ledger: Ledger): Promise<Readonly<Record<string, { ins: number; upd: number; del: number }>>> {
  const { rows } = await ledger.query(
    `select relname, n_tup_ins::int as ins, n_tup_upd::int as upd, n_tup_del::int as del
     from pg_stat_user_tables where relname like 'flow%'`,
    [],
  );
  return Object.fromEntries(
    rows.map((row) => [
      String(row["relname"]),
      { ins: Number(row["ins"]), upd: Number(row["upd"]), del: Number(row["del"]) },
    ]),
  );
}

const transactions = async (ledger: Ledger): Promise<number> => {
  const { rows } = await ledger.query(
    "select xact_commit::int as n from pg_stat_database where datname = current_database()",
    [],
  );
  return Number(rows[0]?.["n"]);
};

test("ten thousand jobs that end at once wake the one that waits for them, without a row that all of them write", {
  timeout: 240_000,
}, async () => {
  await using world = await openFlowWorld();
  const names = Array.from({ length: children }, (_, index) => `child-${index}`);
  const plan = aFlow({ ...Object.fromEntries(names.map((name) => [name, []])), last: names });

  const first = await world.world.openAnother();
  const createdAt = performance.now();
  const flow = await first.flows.create(plan);
  const createMs = performance.now() - createdAt;
  await first[Symbol.asyncDispose]();
  // a session reports a moment after it is gone
  const afterCreate = await waitFor(async () => {
    const rows = await written(world.ledger);
    const least = { flows: 1, flow_nodes: children + 1, flow_edges: children };
    return Object.entries(least).every(([table, ins]) => (rows[table]?.ins ?? 0) >= ins) ? rows : undefined;
  });
  expect(afterCreate).toMatchObject({
    flows: { ins: 1, upd: 0 },
    flow_nodes: { ins: children + 1, upd: 0 },
    flow_edges: { ins: children, upd: 0 },
    flow_signals: { ins: 0 },
  });

  const attempts: { id: string; attempt: number }[] = [];
  for (let start = 0; start < children; start += perClaim) {
    const ids = names.slice(start, start + perClaim).map((name) => flow.jobs[name]!);
    attempts.push(...(await world.ledger.claim({ workerId: world.workerId, ids })));
  }

  // two processes settle half each, all at once
  const processes = await Promise.all([world.world.openAnother(), world.world.openAnother()]);
  const ready: SendableJob[] = [];
  for (const process of processes) process.flows.onReady((jobs) => void ready.push(...jobs));
  const before = await transactions(world.ledger);
  const settledAt = performance.now();
  await Promise.all(
    attempts.map(({ id, attempt }, index) =>
      processes[index % 2]!.settle({ id, attempt, workerId: world.workerId, outcome: done(index), linked: true }),
    ),
  );
  const settleMs = performance.now() - settledAt;
  expect(await world.states(flow)).toMatchObject({ last: "ready" });
  expect(ready.map(({ id }) => id)).toEqual([flow.jobs["last"]]);
  expect(await world.signals()).toBe(0);

  for (const process of processes) await process[Symbol.asyncDispose]();
  const used = (await transactions(world.ledger)) - before;
  // statistics now say that all edges have one child
  await world.ledger.query(`analyze ${world.ledger.table("flow_edges")}`, []);
  expect((await world.ledger.flows.tree(flow.id)).at(-1)?.after).toHaveLength(children);
  // the last sessions report a moment after they are gone
  const after = await waitFor(async () => {
    const rows = await written(world.ledger);
    return (rows["flow_signals"]?.del ?? 0) >= children && (rows["flow_nodes"]?.upd ?? 0) >= children
      ? rows
      : undefined;
  });
  // per child: its node and its edge once, and a signal that comes and goes; the flow's own row not at all
  expect(after["flows"]).toMatchObject({ upd: 0 });
  expect(after["flow_nodes"]).toMatchObject({ upd: children });
  expect(after["flow_edges"]).toMatchObject({ upd: children });
  expect(after["flow_signals"]).toEqual({ ins: children, upd: 0, del: children });
  expect(used).toBeLessThan(children / 10);

  const outcomesAt = performance.now();
  const outcomes = await world.ledger.flows.outcomes(flow.id, { parentsOf: flow.jobs["last"]! });
  expect(outcomes.reduce((sum, { result }) => sum + Number(result), 0)).toBe((children * (children - 1)) / 2);
  const figures = { createMs, settleMs, outcomesMs: performance.now() - outcomesAt, transactions: used };
  process.stdout.write(`fan-in of ${children}: ${JSON.stringify(figures)}\n`);

  // the last child alone: from its settlement to the callback
  const two = await world.ledger.flows.create(
    aFlow({ ...Object.fromEntries(names.map((name) => [name, []])), last: names }),
  );
  await world.ledger.query(
    `with ended as (
       update ${world.ledger.table("flow_nodes")} set state = 'succeeded' where flow_id = $1 and name like 'child-%' and name <> 'child-0'
       returning job_id
     )
     update ${world.ledger.table("flow_edges")} set blocking = false where parent_id in (select job_id from ended)`,
    [two.id],
  );
  const claimed = await world.claim(two.jobs["child-0"]!);
  const lastAt = performance.now();
  const heard = new Promise<number>((resolve) => {
    world.ledger.flows.onReady(() => resolve(performance.now() - lastAt));
  });
  await world.settle(claimed, done());
  process.stdout.write(`from the last child to its callback: ${(await heard).toFixed(1)} ms\n`);
});

test("a flow of ten thousand waiting jobs is cancelled whole, and retried whole", { timeout: 240_000 }, async () => {
  await using world = await openFlowWorld();
  const names = Array.from({ length: children }, (_, index) => `child-${index}`);
  const flow = await world.ledger.flows.create(
    aFlow({ first: [], ...Object.fromEntries(names.map((name) => [name, ["first"]])) }),
  );
  const cancelledAt = performance.now();
  await world.ledger.flows.cancel(flow.id, { reason: "x", by: "y" });
  const cancelMs = performance.now() - cancelledAt;
  expect(await world.flow(flow)).toMatchObject({ state: "cancelled" });
  expect(await world.signals()).toBe(0);
  const retriedAt = performance.now();
  expect(await world.ledger.flows.retry(flow.id)).toMatchObject({ kind: "retried" });
  const retryMs = performance.now() - retriedAt;
  const releasedAt = performance.now();
  await world.end(flow, "first", done());
  const fanOutMs = performance.now() - releasedAt;
  const states = Object.values(await world.states(flow));
  expect(states.filter((state) => state === "ready")).toHaveLength(children);
  process.stdout.write(`of ${children} jobs: ${JSON.stringify({ cancelMs, retryMs, fanOutMs })}\n`);
});
