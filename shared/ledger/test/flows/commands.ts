import { type FailurePolicy, type Ledger, newId, type Outcome, type StartedFlow } from "@warren/ledger";
import * as fc from "fast-check";
import { expect } from "vitest";
import { aJob } from "../support/ledger-world.ts";
import { done, failed as failure, undo as undoTemplate } from "./flow-world.ts";
import {
  end,
  endStopped,
  isOpen,
  type Model,
  type ModelNode,
  maxStalls,
  mayRun,
  retry,
  retryJobs,
  settle,
  stop,
  undoNext,
  waits,
} from "./model.ts";

export interface Real {
  /** Two processes on one database. */
  readonly ledgers: readonly [Ledger, Ledger];
  readonly flow: StartedFlow;
  /** Job ids by node, those added at run time included. */
  readonly ids: Map<string, string>;
  workerId: string;
}

type Command = fc.AsyncCommand<Model, Real>;

function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      await run(model, real);
      settle(model);
      await expectSame(model, real);
    },
    toString: () => name,
  };
}

/** What a dispatcher does until nothing is left to do. */
async function dispatch({ ledgers }: Real): Promise<void> {
  for (;;) {
    const swept = await Promise.all(ledgers.map((ledger) => ledger.flows.sweep({ limit: 3 })));
    await ledgers[0].flows.sweepStopping({ limit: 10 });
    if (swept.every(({ signals }) => signals === 0)) break;
  }
  await ledgers[1].takeDue({ limit: 100 });
}

export async function expectSame(model: Model, real: Real): Promise<void> {
  await dispatch(real);
  const [ledger] = real.ledgers;
  const flow = (await ledger.flows.find(real.flow.id))!;
  const tree = await ledger.flows.tree(real.flow.id);
  const actual = Object.fromEntries(tree.map(({ name, state }) => [name, state]));
  const expected = [...model.nodes.values()].map((node) => {
    if (isOpen(node) && node.job === "retrying") node.job = "ready";
    return [node.name, isOpen(node) ? node.job : node.node];
  });
  expect({ flow: flow.state, nodes: actual }).toEqual({ flow: model.flow, nodes: Object.fromEntries(expected) });
  expect(flow.cause).toBe(model.cause);
  const undos = Object.fromEntries(
    tree
      .filter(({ compensation }) => (compensation?.state ?? "none") !== "none")
      .map((node) => [node.name, node.compensation?.state]),
  );
  expect(undos).toEqual(Object.fromEntries(model.undos.map(({ node, state }) => [node, state])));
}

const pick = <T>(from: readonly T[], index: number): T | undefined =>
  from.length === 0 ? undefined : from[index % from.length];
const where = (model: Model, job: ModelNode["job"]): readonly ModelNode[] =>
  [...model.nodes.values()].filter((node) => isOpen(node) && node.job === job);

const claim = (index: number): Command =>
  command(`claim ${index}`, async (model, real) => {
    const node = pick(where(model, "ready"), index);
    if (node === undefined) return;
    // an invariant of its own, beside the comparison of states
    expect(mayRun(model, node)).toBe(true);
    const id = real.ids.get(node.name)!;
    const [claimed] = await real.ledgers[0].claim({ workerId: real.workerId, ids: [id] });
    node.attempt += 1;
    expect(claimed).toMatchObject({ id, attempt: node.attempt });
    node.job = "running";
  });

type Ending = "succeeded" | "dead" | "cancelled" | "retrying";
const outcomes: Readonly<Record<Ending, Outcome>> = {
  succeeded: done(),
  dead: failure,
  cancelled: { kind: "cancelled", reason: "TEST" },
  retrying: { kind: "retrying", delayMs: 0, error: { code: "TEST", message: "again" } },
};

function modelEnd(model: Model, node: ModelNode, ending: Ending): void {
  if (model.flow === "stopping" && ending !== "succeeded") endStopped(model, node);
  else if (ending === "retrying") node.job = "retrying";
  else end(model, node, ending === "dead" ? "failed" : ending);
}

/** `lost`: its process dies right after the commit, and nobody follows up but the dispatcher. */
const settleOne = (index: number, ending: Ending, lost: boolean): Command =>
  command(`${ending} ${index}${lost ? ", and its process dies" : ""}`, async (model, real) => {
    const node = pick(where(model, "running"), index);
    if (node === undefined) return;
    const settlement = {
      id: real.ids.get(node.name)!,
      attempt: node.attempt,
      workerId: real.workerId,
      outcome: outcomes[ending],
      linked: true,
    };
    const [ledger] = real.ledgers;
    if (lost) await ledger.transaction((run) => ledger.settleIn(run, settlement));
    else expect(await ledger.settle(settlement)).toBe("applied");
    modelEnd(model, node, ending);
  });

/** Everything that runs ends at the same moment, in two processes. */
const settleAll = (endings: readonly Ending[]): Command =>
  command(`all at once: ${endings.join()}`, async (model, real) => {
    const running = where(model, "running").map((node, index) => ({ node, ending: endings[index % endings.length]! }));
    await Promise.all(
      running.map(({ node, ending }, index) =>
        real.ledgers[index % 2 === 0 ? 0 : 1].settle({
          id: real.ids.get(node.name)!,
          attempt: node.attempt,
          workerId: real.workerId,
          outcome: outcomes[ending],
          linked: true,
        }),
      ),
    );
    const [ledger] = real.ledgers;
    const { rows } = await ledger.query(
      `select name, done_seq from ${ledger.table("flow_nodes")} where flow_id = $1 and done_seq is not null`,
      [real.flow.id],
    );
    // which was first is the database's to say
    const order = new Map(rows.map((row) => [String(row["name"]), Number(row["done_seq"])]));
    const inOrder = running.toSorted((x, y) => (order.get(x.node.name) ?? 0) - (order.get(y.node.name) ?? 0));
    for (const { node, ending } of inOrder) modelEnd(model, node, ending);
  });

const kill = (): Command =>
  command("the worker dies", async (model, real) => {
    const [ledger] = real.ledgers;
    const beat = (await ledger.beats()).find(({ id }) => id === real.workerId)!;
    expect((await ledger.expireWorker(beat)).expired).toBe(true);
    for (const node of where(model, "running")) {
      node.stalls += 1;
      if (model.flow === "stopping") endStopped(model, node);
      else if (node.stalls > maxStalls) end(model, node, "failed");
      else node.job = "ready";
    }
    real.workerId = newId();
    await ledger.registerWorker({ id: real.workerId, host: "m", pid: 1, version: "0", queues: [], concurrency: 1 });
  });

const cancelFlow = (): Command =>
  command("cancel the flow", async (model, real) => {
    const { kind } = await real.ledgers[1].flows.cancel(real.flow.id, { reason: "TEST", by: "model" });
    const ending = model.flow === "stopping" || model.flow === "compensating";
    expect(kind).toBe(model.flow === "running" ? "cancelled" : ending ? "ending" : "finished");
    if (model.flow === "running") stop(model, "cancelled");
  });

const cancelJob = (index: number): Command =>
  command(`cancel job ${index}`, async (model, real) => {
    const node = pick([...where(model, "blocked"), ...where(model, "ready")], index);
    if (node === undefined) return;
    expect(await real.ledgers[1].cancel(real.ids.get(node.name)!, "TEST")).toEqual({ kind: "cancelled" });
    end(model, node, "cancelled");
  });

const retryFlow = (index: number | undefined): Command =>
  command(index === undefined ? "retry the flow" : `retry node ${index}`, async (model, real) => {
    const node = index === undefined ? undefined : pick([...model.nodes.keys()], index);
    const names = node === undefined ? undefined : [node];
    const answer = await real.ledgers[0].flows.retry(real.flow.id, names);
    const expected = retry(model, names);
    if ("refused" in expected) expect(answer).toMatchObject({ kind: "refused", code: expected.refused });
    else {
      const nodes = answer.kind === "retried" ? new Set(answer.nodes) : undefined;
      expect({ kind: answer.kind, nodes }).toEqual({ kind: "retried", nodes: new Set(expected.opened) });
    }
  });

const bulkRetry = (states: readonly ("dead" | "cancelled")[]): Command =>
  command(`bulk retry of the ${states.join(" and ")}`, async (model, real) => {
    const [{ control }, other] = real.ledgers;
    const counted = await control.bulk.count("retry", { states });
    const { id } = await control.bulk.start({ action: "retry", filter: { states }, by: "model", reason: "TEST" });
    while ((await other.control.bulk.step()) !== undefined);
    const expected = retryJobs(model, states);
    expect(await control.bulk.find(id)).toMatchObject({ state: "done", ...expected });
    expect(counted).toBe(expected.matched);
  });

interface Addition {
  readonly policy: FailurePolicy;
  readonly compensated: boolean;
  /** Which node it joins, if any. */
  readonly join: number | undefined;
}

const add = (index: number, { policy, compensated, join }: Addition): Command =>
  command(`add to ${index}: ${policy}${compensated ? ", compensated" : ""}, after ${join}`, async (model, real) => {
    const adder = pick(where(model, "running"), index);
    if (adder === undefined || model.nodes.size > 12) return;
    const joined = join === undefined ? undefined : pick([...model.nodes.keys()], join);
    const name = `added-${model.nodes.size}`;
    const node = {
      name,
      job: aJob({ maxStalls, payload: {} }),
      onFailure: policy,
      after: joined === undefined ? [] : [joined],
      startOnFailure: false,
      compensation: compensated ? undoTemplate : undefined,
    };
    const growing = real.ledgers[0].flows.grow({
      flowId: real.flow.id,
      adder: { id: real.ids.get(adder.name)!, attempt: adder.attempt, workerId: real.workerId },
      nodes: [node],
    });
    if (model.flow !== "running") return expect(growing).rejects.toMatchObject({ code: "FLOW_NOT_RUNNING" });
    if (joined !== undefined && waits(model, joined, adder.name)) {
      return expect(growing).rejects.toMatchObject({ code: "FLOW_CYCLE" });
    }
    const [added] = (await growing).nodes;
    real.ids.set(name, added!.id);
    for (const later of model.nodes.values()) {
      const edge = later.waitsFor.find(({ on }) => on === adder.name);
      if (edge !== undefined) later.waitsFor.push({ on: name, kind: edge.kind });
    }
    adder.waitsFor.push({ on: name, kind: "child" });
    model.nodes.set(name, {
      ...aNode({ name, policy, eager: false, compensated }),
      waitsFor: joined === undefined ? [] : [{ on: joined, kind: "after" }],
      job: joined === undefined ? "ready" : "blocked",
    });
  });

const park = (index: number): Command =>
  command(`park ${index}`, async (model, real) => {
    const node = pick(where(model, "running"), index);
    if (node === undefined) return;
    const children = node.waitsFor.filter(({ kind }) => kind === "child").map(({ on }) => model.nodes.get(on)!);
    const waiting = children.some(
      (child) => isOpen(child) || (child.node !== "succeeded" && child.policy !== "ignore"),
    );
    const adder = { id: real.ids.get(node.name)!, attempt: node.attempt, workerId: real.workerId };
    const answer = await real.ledgers[0].flows.park({ flowId: real.flow.id, adder });
    expect(answer).toBe(waiting ? "parked" : "none");
    if (waiting) node.job = "blocked";
  });

const undoStep = (works: boolean): Command =>
  command(`undo ${works ? "works" : "fails"}`, async (model, real) => {
    const next = model.undos.find(({ state }) => state === "started");
    if (next === undefined || model.flow !== "compensating") return;
    const [ledger] = real.ledgers;
    const node = (await ledger.flows.tree(real.flow.id)).find(({ name }) => name === next.node)!;
    const id = node.compensation!.jobId!;
    const [claimed] = await ledger.claim({ workerId: real.workerId, ids: [id] });
    const outcome = works ? done() : failure;
    await ledger.settle({ id, attempt: claimed!.attempt, workerId: real.workerId, outcome, linked: true });
    next.state = works ? "done" : "failed";
    undoNext(model);
  });

type Planned = Pick<ModelNode, "name" | "policy" | "eager" | "compensated">;
const aNode = (planned: Planned): ModelNode => ({
  ...planned,
  waitsFor: [],
  node: "open",
  job: "ready",
  attempt: 0,
  stalls: 0,
  doneAt: 0,
  stopped: false,
  letGo: false,
});

export interface Plan extends Planned {
  readonly after: readonly string[];
}

const policies: readonly FailurePolicy[] = ["fail", "ignore", "continue"];

/** A random DAG: each node comes after some of those before it. */
export const plans: fc.Arbitrary<readonly Plan[]> = fc
  .array(
    fc.record({
      policy: fc.constantFrom(...policies),
      eager: fc.boolean(),
      compensated: fc.boolean(),
      mask: fc.nat({ max: 255 }),
    }),
    { minLength: 1, maxLength: 7 },
  )
  .map((drawn) =>
    drawn.map(({ mask, ...node }, index) => ({
      ...node,
      name: `n${index}`,
      after: drawn.slice(0, index).flatMap((_, parent) => ((mask >> parent) & 1 ? [`n${parent}`] : [])),
    })),
  );

export async function start(
  plan: readonly Plan[],
  real: Omit<Real, "flow" | "ids">,
): Promise<{ model: Model; real: Real }> {
  const flow = await real.ledgers[0].flows.create({
    name: "model",
    correlationId: "model",
    nodes: plan.map(({ name, policy, eager, compensated, after }) => ({
      name,
      job: aJob({ maxStalls, payload: {} }),
      onFailure: policy,
      after,
      startOnFailure: eager,
      compensation: compensated ? undoTemplate : undefined,
    })),
  });
  const nodes = new Map(
    plan.map((planned): [string, ModelNode] => {
      const { after, ...node } = planned;
      const waitsFor = after.map((on) => ({ on, kind: "after" as const }));
      return [node.name, { ...aNode(node), waitsFor, job: after.length === 0 ? "ready" : "blocked" }];
    }),
  );
  const model: Model = { nodes, flow: "running", cause: undefined, completions: 0, undos: [], fresh: new Set() };
  return { model, real: { ...real, flow, ids: new Map(Object.entries(flow.jobs)) } };
}

const nat = fc.nat({ max: 20 });
const endings = fc.constantFrom<Ending>("succeeded", "succeeded", "succeeded", "dead", "cancelled", "retrying");

export const commands: fc.Arbitrary<Command>[] = [
  nat.map(claim),
  nat.map(claim),
  fc.tuple(nat, endings, fc.boolean()).map(([index, ending, lost]) => settleOne(index, ending, lost)),
  fc.tuple(nat, endings, fc.boolean()).map(([index, ending, lost]) => settleOne(index, ending, lost)),
  fc.array(endings, { minLength: 1, maxLength: 4 }).map(settleAll),
  fc
    .tuple(
      nat,
      fc.record({
        policy: fc.constantFrom(...policies),
        compensated: fc.boolean(),
        join: fc.option(nat, { nil: undefined }),
      }),
    )
    .map(([index, addition]) => add(index, addition)),
  nat.map(park),
  fc.constant(kill()),
  fc.constant(cancelFlow()),
  nat.map(cancelJob),
  fc.option(nat, { nil: undefined }).map(retryFlow),
  fc.constantFrom(["dead"] as const, ["cancelled"] as const, ["dead", "cancelled"] as const).map(bulkRetry),
  fc.boolean().map(undoStep),
];

/** Ends whatever is left well: every flow must reach an end. */
export async function finish(model: Model, real: Real): Promise<void> {
  for (let round = 0; round < 100; round += 1) {
    const step =
      where(model, "running").length > 0
        ? settleAll(["succeeded"])
        : where(model, "ready").length > 0
          ? claim(0)
          : model.flow === "compensating"
            ? undoStep(true)
            : undefined;
    if (step === undefined) return;
    await step.run(model, real);
  }
}
