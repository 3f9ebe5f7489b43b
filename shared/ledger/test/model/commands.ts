import { type Ledger, newId, type Outcome } from "@warren/ledger";
import * as fc from "fast-check";
import { expect } from "vitest";
import { aJob } from "../support/ledger-world.ts";
import {
  backToReady,
  type Model,
  type ModelJob,
  type ModelOutcome,
  modelClaim,
  modelEnd,
  modelSettle,
  unfinished,
} from "./model.ts";

export interface Real {
  readonly ledger: Ledger;
}

type Command = fc.AsyncCommand<Model, Real>;

const never = 86_400_000;
const breakerNames = ["a:call", "b:call"] as const;
const error = { code: "TEST", message: "for the test" };

/** A command whose arguments say what it is; compares every table with the model after each step. */
function command(name: string, run: (model: Model, ledger: Ledger) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (model, { ledger }) => {
      await run(model, ledger);
      await expectSame(model, ledger);
    },
    toString: () => name,
  };
}

async function expectSame(model: Model, ledger: Ledger): Promise<void> {
  const columns = "id, state, attempt, excused, settled, stalls, worker_id";
  const { rows } = await ledger.query(
    `select ${columns}, held_by, probe, sent_at is not null as sent, null as reason from ${ledger.table("jobs")}
     union all
     select ${columns}, null, false, false, reason from ${ledger.table("jobs_history")} order by id`,
    [],
  );
  const expected = [...model.jobs.values()]
    .sort((x, y) => (x.id < y.id ? -1 : 1))
    .map((job) => ({
      id: job.id,
      state: job.state,
      attempt: job.attempt,
      excused: job.excused,
      settled: job.settled,
      stalls: job.stalls,
      worker_id: job.worker ?? null,
      held_by: unfinished(job) ? (job.heldBy ?? null) : null,
      probe: unfinished(job) && job.probe,
      sent: unfinished(job) && job.sent,
      reason: job.reason ?? null,
    }));
  expect(rows).toEqual(expected);
  const breakers = await ledger.query(`select name, state from ${ledger.table("breakers")} order by name`, []);
  const states = [...model.breakers].map(([name, { state }]) => ({ name, state }));
  expect(breakers.rows).toEqual(states.sort((x, y) => (x.name < y.name ? -1 : 1)));
}

const pick = <T>(from: readonly T[], index: number): T | undefined =>
  from.length === 0 ? undefined : from[index % from.length];

const ids = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id).sort();

interface Wanted {
  readonly key: string | undefined;
  readonly breakers: readonly string[];
  readonly when: "now" | "never";
}

const enqueue = (wanted: readonly Wanted[]): Command =>
  command(`enqueue ${JSON.stringify(wanted)}`, async (model, ledger) => {
    const results = await ledger.enqueue(
      wanted.map(({ key, breakers, when }) =>
        aJob({
          breakers,
          ...(key === undefined ? {} : { key }),
          ...(when === "never" ? { delayMs: never } : {}),
        }),
      ),
    );
    for (const [index, { key, breakers, when }] of wanted.entries()) {
      const result = results[index]!;
      const known = key === undefined ? undefined : [...model.jobs.values()].find((job) => job.key === key);
      expect(result.created).toBe(known === undefined);
      if (known !== undefined) {
        expect(result.id).toBe(known.id);
        continue;
      }
      const state = when === "never" ? "scheduled" : "ready";
      expect(result.state).toBe(state);
      model.jobs.set(result.id, {
        id: result.id,
        key,
        breakers,
        state,
        maxStalls: 1,
        attempt: 0,
        excused: 0,
        settled: 0,
        stalls: 0,
        worker: undefined,
        heldBy: undefined,
        probe: false,
        due: false,
        sendable: true,
        sent: false,
        reason: undefined,
        cancelRequested: false,
      });
    }
  });

const byId = (x: { readonly id: string }, y: { readonly id: string }): number => (x.id < y.id ? -1 : 1);

const claim = (slot: number, picks: readonly number[]): Command =>
  command(`claim by ${slot} of ${picks.join()}`, async (model, ledger) => {
    const all = [...model.jobs.keys()];
    const wanted = picks.flatMap((index) => pick(all, index) ?? []);
    const worker = pick(model.workers, slot)!;
    // In two calls that share a batch: no job may go to both.
    const answers = await Promise.all([
      ledger.claim({ workerId: worker, ids: wanted }),
      ledger.claim({ workerId: worker, ids: wanted }),
    ]);
    const expected = modelClaim(model, worker, wanted);
    const got = answers.flat().map(({ id, attempt }) => ({ id, attempt, worker }));
    expect(got.sort(byId)).toEqual([...expected].sort(byId));
    model.claims.push(...expected);
  });

const claimByEnded = (index: number): Command =>
  command(`claim by ended worker ${index}`, async (model, ledger) => {
    const worker = pick([...model.ended], index);
    const ready = [...model.jobs.values()].find((job) => job.state === "ready");
    if (worker === undefined || ready === undefined) return;
    await expect(ledger.claim({ workerId: worker, ids: [ready.id] })).rejects.toMatchObject({
      code: "LEDGER_WORKER_ENDED",
    });
  });

const outcomes: Readonly<Record<ModelOutcome, (breaker: string, delayMs: number) => Outcome>> = {
  succeeded: () => ({ kind: "succeeded", result: { ok: true } }),
  retrying: (_, delayMs) => ({ kind: "retrying", delayMs, error }),
  dead: () => ({ kind: "dead", reason: "TEST", error }),
  cancelled: () => ({ kind: "cancelled", reason: "TEST" }),
  snoozed: (_, delayMs) => ({ kind: "snoozed", delayMs }),
  held: (breaker) => ({ kind: "held", breaker, error }),
  returned: () => ({ kind: "returned" }),
};

/** Of any claim ever answered: the living one, one that was settled already, or one that was fenced long ago. */
const settle = (index: number, kind: ModelOutcome, breaker: string, due: boolean): Command =>
  command(`settle ${index} ${kind} ${breaker} ${due}`, async (model, ledger) => {
    const claimed = pick(model.claims.toReversed(), index);
    if (claimed === undefined) return;
    const answer = await ledger.settle({
      id: claimed.id,
      attempt: claimed.attempt,
      workerId: claimed.worker,
      outcome: outcomes[kind](breaker, due ? 0 : never),
    });
    expect(answer).toBe(modelSettle(model, claimed, kind, { breaker, due }));
  });

const end = (slot: number, how: "retired" | "expired"): Command =>
  command(`${how} ${slot}`, async (model, ledger) => {
    const index = slot % model.workers.length;
    const worker = model.workers[index]!;
    const expected = modelEnd(model, index, how);
    if (how === "retired") {
      expect(await ledger.retireWorker(worker)).toEqual({ handedBack: expected.back.length });
    } else {
      const beat = (await ledger.beats()).find(({ id }) => id === worker)!;
      expect(await ledger.expireWorker({ id: worker, beatSeq: "-1" })).toEqual({ expired: false });
      const answer = await ledger.expireWorker(beat);
      expect(answer.expired).toBe(true);
      if (answer.expired) {
        const { dead, cancelled } = answer;
        const found = { back: ids(answer.rescued), dead: [...dead].sort(), cancelled: [...cancelled].sort() };
        expect(found).toEqual(expected);
      }
      expect(await ledger.expireWorker(beat)).toEqual({ expired: false });
    }
    expect(await ledger.beat(worker)).toMatchObject({ alive: false, cancels: [] });
    model.workers[index] = newId();
    await register(ledger, model.workers[index]);
  });

export const register = (ledger: Ledger, id: string): Promise<void> =>
  ledger.registerWorker({ id, host: "model", pid: 1, version: "0", queues: ["default"], concurrency: 1 });

const giveBack = (slot: number): Command =>
  command(`reconcile ${slot}`, async (model, ledger) => {
    const worker = pick(model.workers, slot)!;
    const held = [...model.jobs.values()].filter((job) => job.state === "running" && job.worker === worker);
    const running = await ledger.runningOf(worker);
    expect(ids(running)).toEqual(ids(held));
    expect(await ledger.giveBack(worker, running)).toEqual({ handedBack: held.length });
    for (const job of held) {
      modelSettle(model, { id: job.id, attempt: job.attempt, worker }, "returned", { breaker: "", due: false });
    }
  });

const isFree = (job: ModelJob): boolean => job.state === "ready" && job.heldBy === undefined;

const takeDue = (): Command =>
  command("takeDue", async (model, ledger) => {
    const due = [...model.jobs.values()].filter((job) => job.state === "retrying" && job.due);
    expect(ids(await ledger.takeDue({ limit: 100 }))).toEqual(ids(due));
    for (const job of due) Object.assign(job, { state: "ready", due: false, sendable: false, sent: false });
  });

const takeUnsent = (): Command =>
  command("takeUnsent", async (model, ledger) => {
    const unsent = [...model.jobs.values()].filter((job) => isFree(job) && job.sendable && !job.sent);
    expect(ids(await ledger.takeUnsent({ limit: 100 }))).toEqual(ids(unsent));
    for (const job of unsent) job.sendable = false;
  });

const confirmSent = (index: number, isStale: boolean): Command =>
  command(`confirmSent ${index} ${isStale}`, async (model, ledger) => {
    const job = pick([...model.jobs.values()], index);
    if (job === undefined) return;
    const counts = isFree(job) && !job.sent && !isStale;
    const answer = await ledger.confirmSent([{ id: job.id, attempt: isStale ? job.attempt - 1 : job.attempt }]);
    expect(answer).toEqual({ waiting: counts ? 1 : 0 });
    if (counts) job.sent = true;
  });

const takeLost = (): Command =>
  command("takeLost", async (model, ledger) => {
    const lost = [...model.jobs.values()].filter((job) => isFree(job) && job.sent);
    expect(ids(await ledger.takeLost({ queue: "default", sentForMs: 0, limit: 100 }))).toEqual(ids(lost));
    for (const job of lost) Object.assign(job, { sent: false, sendable: false });
  });

const cancel = (index: number): Command =>
  command(`cancel ${index}`, async (model, ledger) => {
    const job = pick([...model.jobs.values()], index);
    if (job === undefined) return;
    const answer = await ledger.cancel(job.id, "TEST");
    if (!unfinished(job)) expect(answer).toEqual({ kind: "finished", state: job.state });
    else if (job.state === "running") expect(answer).toEqual({ kind: "running", workerId: job.worker });
    else {
      expect(answer).toEqual({ kind: "cancelled" });
      Object.assign(job, { state: "cancelled", reason: "TEST" });
    }
  });

/** From any process, in whatever state the job is. */
const cancelAny = (picks: readonly number[]): Command =>
  command(`cancel any ${picks.join()}`, async (model, ledger) => {
    const all = [...model.jobs.values()];
    const wanted = [...new Set(picks.flatMap((index) => pick(all, index) ?? []))];
    const answers = await ledger.control.cancel(ids(wanted), { reason: "ASKED", by: "model" });
    for (const job of wanted) {
      const answer = answers.find(({ id }) => id === job.id);
      if (!unfinished(job)) expect(answer).toEqual({ id: job.id, kind: "finished", state: job.state });
      else if (job.state === "running") {
        expect(answer).toEqual({ id: job.id, kind: "requested", workerId: job.worker });
        job.cancelRequested = true;
      } else {
        expect(answer).toEqual({ id: job.id, kind: "cancelled" });
        Object.assign(job, { state: "cancelled", reason: "ASKED" });
      }
    }
  });

/** A beat finds what a lost message told. */
const beat = (slot: number): Command =>
  command(`beat ${slot}`, async (model, ledger) => {
    const worker = pick(model.workers, slot)!;
    const asked = [...model.jobs.values()].filter((job) => job.state === "running" && job.worker === worker);
    const { alive, cancels } = await ledger.beat(worker);
    expect(alive).toBe(true);
    expect(ids(cancels)).toEqual(ids(asked.filter((job) => job.cancelRequested)));
  });

const retry = (index: number): Command =>
  command(`retry ${index}`, async (model, ledger) => {
    const job = pick([...model.jobs.values()], index);
    if (job === undefined) return;
    const [answer] = await ledger.control.retry([job.id], {});
    if (unfinished(job)) expect(answer).toEqual({ id: job.id, kind: "unfinished", state: job.state });
    else if (job.state === "succeeded") expect(answer).toEqual({ id: job.id, kind: "succeeded" });
    else {
      expect(answer).toEqual({ id: job.id, kind: "retried" });
      const { attempt } = job;
      Object.assign(job, { state: "ready", worker: undefined, heldBy: undefined, probe: false, sent: false });
      Object.assign(job, { excused: attempt, settled: attempt, sendable: true, reason: undefined });
      job.cancelRequested = false;
    }
  });

const report = (name: string, state: "open" | "closed", due: boolean): Command =>
  command(`report ${name} ${state} ${due}`, async (model, ledger) => {
    await ledger.reportBreaker(state === "open" ? { name, state, retryAfterMs: due ? 0 : never } : { name, state });
    const known = model.breakers.get(name) ?? { state: "closed" as const, retryDue: false, window: 1 };
    const wasOpen = known.state === "open";
    const window = state === "closed" && known.state === "closed" ? known.window : 1;
    // A second opening never brings the next probe forward.
    const retryDue = state === "open" && due && (!wasOpen || known.retryDue);
    model.breakers.set(name, { state, retryDue, window });
  });

const probe = (name: string): Command =>
  command(`probe ${name}`, async (model, ledger) => {
    const breaker = model.breakers.get(name);
    const held = [...model.jobs.values()].filter((job) => job.state === "ready" && job.heldBy === name);
    const isDue = breaker !== undefined && breaker.state !== "closed" && breaker.retryDue;
    const listed = (await ledger.breakers()).find((row) => row.name === name);
    expect(listed?.probeDue ?? false).toBe(isDue && held.length > 0);
    // Two dispatchers at once: one probe.
    const answers = await Promise.all([ledger.probeBreaker(name), ledger.probeBreaker(name)]);
    const released = answers.flatMap((answer) => answer.released);
    expect(released.length).toBe(isDue && held.length > 0 ? 1 : 0);
    for (const { id } of released) {
      Object.assign(breaker!, { state: "half_open", retryDue: false });
      letGo(held, id, true);
    }
  });

const release = (name: string, limit: number): Command =>
  command(`release ${name} ${limit}`, async (model, ledger) => {
    const held = [...model.jobs.values()].filter((job) => job.state === "ready" && job.heldBy === name);
    const breaker = model.breakers.get(name) ?? { state: "closed" as const, retryDue: false, window: 1 };
    model.breakers.set(name, breaker);
    const released = await ledger.releaseHeld({ name, limit });
    expect(released.length).toBe(breaker.state === "closed" ? Math.min(limit, breaker.window, held.length) : 0);
    if (breaker.state === "closed") breaker.window *= 2;
    for (const { id } of released) letGo(held, id, false);
  });

function letGo(held: readonly ModelJob[], id: string, isProbe: boolean): void {
  const job = held.find((candidate) => candidate.id === id);
  expect(job, "a job that the breaker held").toBeDefined();
  backToReady(job!, false);
  Object.assign(job!, { heldBy: undefined, probe: isProbe });
}

const condemn = (index: number): Command =>
  command(`condemn ${index}`, async (model, ledger) => {
    const job = pick([...model.jobs.values()], index);
    if (job === undefined) return;
    const isReady = job.state === "ready";
    expect(await ledger.condemn([job.id], { reason: "TEST", error })).toEqual(isReady ? [job.id] : []);
    if (isReady) Object.assign(job, { state: "dead", reason: "TEST" });
  });

const any = fc.nat({ max: 30 });
const slot = fc.nat({ max: 1 });
const breakerName = fc.constantFrom(...breakerNames);
const wanted = fc.record({
  key: fc.option(fc.constantFrom("k1", "k2", "k3"), { nil: undefined, freq: 3 }),
  breakers: fc.subarray([...breakerNames]),
  when: fc.constantFrom("now", "now", "now", "never"),
} satisfies { [Field in keyof Wanted]: fc.Arbitrary<Wanted[Field]> });
const kinds = Object.keys(outcomes) as ModelOutcome[];

/** Weighted by repetition: mostly the main path, in every order. */
export const commands: fc.Arbitrary<Command>[] = [
  fc.array(wanted, { minLength: 1, maxLength: 4 }).map(enqueue),
  fc.tuple(slot, fc.array(any, { minLength: 1, maxLength: 6 })).map((args) => claim(...args)),
  fc.tuple(slot, fc.array(any, { minLength: 4, maxLength: 12 })).map((args) => claim(...args)),
  fc.tuple(any, fc.constantFrom(...kinds), breakerName, fc.boolean()).map((args) => settle(...args)),
  fc
    .tuple(fc.nat({ max: 3 }), fc.constantFrom(...kinds), breakerName, fc.constant(true))
    .map((args) => settle(...args)),
  fc.tuple(slot, fc.constantFrom("retired" as const, "expired" as const)).map((args) => end(...args)),
  any.map(claimByEnded),
  slot.map(giveBack),
  fc.constant(undefined).map(takeDue),
  fc.constant(undefined).map(takeUnsent),
  fc.tuple(any, fc.boolean()).map((args) => confirmSent(...args)),
  fc.constant(undefined).map(takeLost),
  any.map(cancel),
  fc.array(any, { minLength: 1, maxLength: 4 }).map(cancelAny),
  slot.map(beat),
  any.map(retry),
  fc
    .tuple(breakerName, fc.constantFrom("open" as const, "closed" as const), fc.boolean())
    .map((args) => report(...args)),
  breakerName.map(probe),
  fc.tuple(breakerName, fc.constantFrom(1, 3, 100)).map((args) => release(...args)),
  any.map(condemn),
];
