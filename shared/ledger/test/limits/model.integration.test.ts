import { type Ledger, newId, type PolicyChange, type QueuePolicy } from "@warren/ledger";
import { propertyRuns, propertyTimeout } from "@warren/testing/properties";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { settle } from "../support/governed.ts";
import { aJob, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";
import {
  all,
  byOrder,
  goBack,
  isPaused,
  keyRefuses,
  type LineJob,
  type LineModel,
  queueRoom,
  recall,
  standing,
  start,
} from "./model.ts";

interface Real {
  readonly queue: string;
  /** Two dispatchers, each with a pool of its own. */
  readonly ledgers: readonly [Ledger, Ledger];
  readonly workers: string[];
}
type Command = fc.AsyncCommand<LineModel, Real>;

let world: LedgerWorld;
let other: Ledger;
beforeAll(async () => {
  world = await openLedgerWorld();
  other = await world.openAnother();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const command = (name: string, run: (model: LineModel, real: Real) => Promise<void>): Command => ({
  check: () => true,
  run,
  toString: () => name,
});
const pick = <T>(from: readonly T[], index: number): T | undefined => from[index % Math.max(1, from.length)];
const keys = ["", "a", "b", "c"] as const;
const names = ["x", "y"] as const;
const neverMs = 1e12;

interface Wanted {
  readonly key: (typeof keys)[number];
  readonly name: (typeof names)[number];
  readonly priority: number;
}

const enqueue = (wanted: readonly Wanted[]): Command =>
  command(`enqueue ${JSON.stringify(wanted)}`, async (model, { ledgers: [ledger], queue }) => {
    const results = await ledger.enqueue(
      wanted.map(({ key, name, priority }) =>
        aJob({ queue, name, priority, maxStalls: 1_000, ...(key === "" ? {} : { limitKey: key }) }),
      ),
    );
    for (const [index, { key, name, priority }] of wanted.entries()) {
      const { id, waits } = results[index]!;
      expect(waits).toBe(true);
      const place = model.next++;
      model.jobs.set(id, {
        id,
        key,
        name,
        priority,
        place,
        state: "waiting",
        begun: false,
        worker: undefined,
        attempt: 0,
      });
    }
  });

/** Two dispatchers at once, until neither finds anything: nothing forbidden goes, and nothing that may go stays. */
const release = (limit: number): Command =>
  command(`release ${limit}`, async (model, { ledgers, queue }) => {
    for (;;) {
      const rounds = await Promise.all(ledgers.map((ledger) => ledger.limits.release({ queue, limit })));
      const released = rounds.flatMap((round) => round.jobs.map(({ id }) => model.jobs.get(id)!));
      const turns = model.policy.fairness === true || model.policy.keyConcurrency !== undefined;
      const line = all(model, "waiting")
        .filter((job) => !isPaused(model, job))
        .toSorted(byOrder);
      if (!turns && model.policy.order === undefined && model.policy.keyRate === undefined) {
        expect(ids(released)).toEqual(ids(line.slice(0, released.length)));
      }
      for (const job of released.toSorted(byOrder)) {
        expect(job.state).toBe("waiting");
        expect(keyRefuses(model, job), `job ${job.id} of key "${job.key}"`).toBeUndefined();
        job.state = "released";
      }
      if (released.length > 0) expect(queueRoom(model)).toBeGreaterThanOrEqual(0);
      const lowest = Math.min(...released.map((job) => standing(model, job)));
      for (const job of all(model, "waiting").filter((one) => keyRefuses(model, one) === undefined)) {
        expect(job.priority, "a higher priority was passed by").toBeLessThanOrEqual(lowest);
      }
      const outcomesNow = rounds.map(({ outcome }) => outcome);
      if (released.length === 0 && outcomesNow.includes("blocked") && !outcomesNow.includes("more")) break;
    }
    const left = all(model, "waiting").filter((job) => keyRefuses(model, job) === undefined);
    const busy = all(model, "released", "running").length;
    // no lost wake-up: what stays has no room in the queue, or the workers have all they can use
    if (left.length > 0 && queueRoom(model) > 0) expect(busy).toBeGreaterThanOrEqual(model.places + 2);
  });

const ids = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id).sort();

const claim = (slot: number, picks: readonly number[]): Command =>
  command(`claim by ${slot} of ${picks.join()}`, async (model, { ledgers: [ledger], workers }) => {
    // also of jobs that were never released, as by a message from before
    const known = [...model.jobs.values()].filter((job) => job.state !== "finished");
    const wanted = [
      ...new Set([
        ...picks.flatMap((at) => pick(all(model, "released"), at) ?? []),
        ...picks.slice(0, 1).flatMap((at) => pick(known, at) ?? []),
      ]),
    ];
    if (wanted.length === 0) return;
    const worker = slot % workers.length;
    const claimed = await ledger.claim({ workerId: workers[worker]!, ids: wanted.map(({ id }) => id) });
    const expected = wanted.filter((job) => job.state === "released" && !isPaused(model, job));
    expect(ids(claimed)).toEqual(ids(expected));
    for (const job of expected) start(model, job, worker);
    for (const { id, attempt } of claimed) expect(attempt).toBe(model.jobs.get(id)?.attempt);
  });

const outcomes = ["succeeded", "retrying", "snoozed", "returned"] as const;

const finish = (index: number, kind: (typeof outcomes)[number]): Command =>
  command(`finish ${index} ${kind}`, async (model, { ledgers: [ledger], workers }) => {
    const job = pick(all(model, "running"), index);
    if (job === undefined) return;
    const error = { code: "TEST", message: "test" };
    const outcome =
      kind === "succeeded"
        ? { kind, result: null }
        : kind === "retrying"
          ? { kind, delayMs: 0, error }
          : kind === "snoozed"
            ? { kind, delayMs: 0 }
            : { kind };
    const workerId = workers[job.worker!]!;
    expect(await ledger.settle({ id: job.id, attempt: job.attempt, workerId, outcome })).toBe("applied");
    if (kind === "succeeded") job.state = "finished";
    else goBack(model, job, kind === "returned" ? "waiting" : "retrying");
  });

const takeDue = (): Command =>
  command("takeDue", async (model, { ledgers: [ledger] }) => {
    expect(await ledger.takeDue({ limit: 100 })).toEqual([]);
    for (const job of all(model, "retrying")) job.state = "waiting";
  });

const cancel = (index: number): Command =>
  command(`cancel ${index}`, async (model, { ledgers: [ledger] }) => {
    const job = pick(all(model, "waiting", "released", "retrying"), index);
    if (job === undefined) return;
    expect(await ledger.cancel(job.id, "TEST")).toEqual({ kind: "cancelled" });
    job.state = "finished";
  });

const change = (given: PolicyChange<QueuePolicy>): Command =>
  command(`change ${JSON.stringify(given)}`, async (model, { ledgers: [ledger], queue }) => {
    const before = JSON.stringify((await ledger.limits.get(queue))?.policy);
    const had = model.policy;
    model.policy = (await ledger.limits.change(queue, given)).policy;
    if (JSON.stringify(model.policy) === before) return;
    if (had.rate === undefined) model.tokens = Number.POSITIVE_INFINITY;
    if (had.keyRate === undefined) model.keyTokens.clear();
    recall(model);
  });

const pause = (what: { job?: string; key?: string }, on: boolean): Command =>
  command(`${on ? "pause" : "resume"} ${JSON.stringify(what)}`, async (model, { ledgers: [ledger], queue }) => {
    await (on ? ledger.limits.pause(queue, what) : ledger.limits.resume(queue, what));
    if (what.key !== undefined) model.pausedKeys[on ? "add" : "delete"](what.key);
    else if (what.job !== undefined) model.pausedNames[on ? "add" : "delete"](what.job);
    else model.paused = on;
    recall(model);
  });

const crash = (slot: number): Command =>
  command(`crash ${slot}`, async (model, { ledgers: [ledger], workers, queue }) => {
    const worker = slot % workers.length;
    const beat = (await ledger.beats()).find(({ id }) => id === workers[worker])!;
    expect((await ledger.expireWorker(beat)).expired).toBe(true);
    for (const job of all(model, "running")) if (job.worker === worker) goBack(model, job, "waiting");
    workers[worker] = await register(ledger, queue);
  });

async function register(ledger: Ledger, queue: string): Promise<string> {
  const id = newId();
  await ledger.registerWorker({ id, host: "model", pid: 1, version: "0", queues: [queue], concurrency: 3 });
  return id;
}

const any = fc.nat({ max: 30 });
const limit = fc.option(fc.constantFrom(1, 2, 5), { nil: null });
const rate = fc.option(
  fc.constantFrom(1, 3, 8).map((burst) => ({ limit: 1, perMs: neverMs, burst })),
  { nil: null, freq: 1 },
);
const what = fc.constantFrom({}, { job: "x" }, { key: "a" }, { key: "b" });
const wanted = fc.record({
  key: fc.constantFrom(...keys),
  name: fc.constantFrom(...names),
  priority: fc.constantFrom(0, 0, 0, 5),
});
const commands: fc.Arbitrary<Command>[] = [
  fc.array(wanted, { minLength: 1, maxLength: 6 }).map(enqueue),
  fc.array(wanted, { minLength: 1, maxLength: 6 }).map(enqueue),
  fc.constantFrom(1, 3, 100).map(release),
  fc.constant(100).map(release),
  fc.tuple(any, fc.array(any, { minLength: 1, maxLength: 6 })).map((args) => claim(...args)),
  fc.tuple(any, fc.array(any, { minLength: 1, maxLength: 6 })).map((args) => claim(...args)),
  fc.tuple(any, fc.constantFrom(...outcomes)).map((args) => finish(...args)),
  fc.tuple(any, fc.constant("succeeded" as const)).map((args) => finish(...args)),
  fc.constant(undefined).map(takeDue),
  any.map(cancel),
  limit.map((concurrency) => change({ concurrency })),
  rate.map((one) => change({ rate: one })),
  fc.tuple(what, fc.boolean()).map((args) => pause(...args)),
  what.map((one) => pause(one, false)),
  any.map(crash),
];
const ofKeys: fc.Arbitrary<Command>[] = [
  limit.map((keyConcurrency) => change({ keyConcurrency })),
  rate.map((keyRate) => change({ keyRate })),
];

const shapes: readonly {
  readonly name: string;
  readonly policy: QueuePolicy;
  readonly commands: fc.Arbitrary<Command>[];
}[] = [
  { name: "one line", policy: { priority: true }, commands },
  { name: "turns between keys", policy: { priority: true, fairness: true }, commands: [...commands, ...ofKeys] },
  { name: "strict order per key", policy: { order: "strict" }, commands: [...commands, ...ofKeys] },
];

/** Takes all limits away; answers what must run now, and what does. */
async function finishAll(model: LineModel, { ledgers: [ledger], workers, queue }: Real) {
  await ledger.limits.clear(queue);
  for (const one of [{}, ...names.map((job) => ({ job })), ...keys.slice(1).map((key) => ({ key }))]) {
    await ledger.limits.resume(queue, one);
  }
  for (const job of all(model, "running")) {
    await ledger.settle({ ...job, workerId: workers[job.worker!]!, outcome: { kind: "succeeded", result: null } });
    job.state = "finished";
  }
  const left = all(model, "waiting", "released", "retrying");
  const due = await ledger.takeDue({ limit: 1_000 });
  await ledger.limits.free({ queue, limit: 1_000 });
  expect(due.every(({ id }) => model.jobs.has(id))).toBe(true);
  const claimed = await ledger.claim({ workerId: workers[0]!, ids: left.map(({ id }) => id) });
  return { runs: ids(claimed), left: ids(left) };
}

test.for(shapes)(
  "property: $name never goes beyond a limit, and leaves nothing that may go",
  { timeout: propertyTimeout(240_000) },
  async ({ policy, commands: some }) => {
    await fc.assert(
      fc.asyncProperty(fc.commands(some, { maxCommands: 50, size: "max" }), async (sequence) => {
        const { ledger } = world;
        await world.clear();
        const queue = `m${newId().slice(-10)}`;
        await ledger.limits.change(queue, policy);
        await settle(ledger);
        const real: Real = {
          queue,
          ledgers: [ledger, other],
          workers: [await register(ledger, queue), await register(ledger, queue)],
        };
        const model: LineModel = {
          policy,
          jobs: new Map<string, LineJob>(),
          paused: false,
          pausedNames: new Set(),
          pausedKeys: new Set(),
          tokens: Number.POSITIVE_INFINITY,
          keyTokens: new Map(),
          places: 6,
          next: 0,
        };
        await fc.asyncModelRun(() => ({ model, real }), sequence);
        const { runs, left } = await finishAll(model, real);
        expect(runs, "without limits every job runs").toEqual(left);
      }),
      { numRuns: propertyRuns(8), endOnFailure: true },
    );
  },
);
