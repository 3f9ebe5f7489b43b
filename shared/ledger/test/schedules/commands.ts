import * as fc from "fast-check";
import { expect } from "vitest";
import type { Ledger } from "../../src/ledger.ts";
import { occurrenceId } from "../../src/schedules/schedule.ts";
import type { Schedules } from "../../src/schedules/schedules.ts";
import { type Model, type ModelJob, type ModelSchedule, modelFire, modelNext, unfinishedOf } from "./model.ts";

export interface Real {
  readonly ledger: Ledger;
  readonly schedules: Schedules;
  readonly workerId: string;
  /** What the schedules take for the time. */
  readonly clock: { now: Date };
}

export type Command = fc.AsyncCommand<Model, Real>;

/** On the grid of every interval below. */
const beginning = Math.floor(Date.parse("2024-03-31T00:00:00Z") / 4_200_000) * 4_200_000;
export const instant = (minute: number): Date => new Date(beginning + minute * 60_000);
const names = ["a", "b"] as const;

export const job = { queue: "q", name: "tick", version: 1, payload: { n: 1 }, maxAttempts: 1, maxStalls: 0 } as const;

function command(text: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    toString: () => text,
    run: async (model, real) => {
      await run(model, real);
      await compare(model, real);
    },
  };
}

/** Every job and every schedule, in the ledger as in the model. */
async function compare(model: Model, { ledger, schedules }: Real): Promise<void> {
  const { rows } = await ledger.query(
    `select job_key, schedule, state, cancel_requested_at is not null as asked from ${ledger.table("jobs")}
     union all
     select job_key, schedule, state, cancel_requested_at is not null from ${ledger.table("jobs_history")}`,
    [],
  );
  const real = rows.map((row) => `${text(row["job_key"])} ${text(row["state"])} ${text(row["asked"])}`);
  expect(real.map(withoutTrigger).sort()).toEqual(model.jobs.map(jobText).sort());
  const known = new Map((await schedules.list()).map((schedule) => [schedule.name, schedule]));
  expect([...known.keys()]).toEqual([...model.schedules.keys()].sort());
  for (const [name, expected] of model.schedules) {
    const found = known.get(name);
    const next = modelNext(expected);
    expect({
      nextAt: expected.paused ? "paused" : found?.nextAt,
      waiting: found?.waiting,
      counts: [found?.fired, found?.missed, found?.overlapped],
    }).toEqual({
      nextAt: expected.paused ? "paused" : next === undefined ? undefined : instant(next),
      waiting: expected.waiting.map(instant),
      counts: [expected.fired, expected.missed, expected.overlapped],
    });
  }
}

const text = (value: unknown): string => String(value);
const withoutTrigger = (line: string): string => line.replace(/Z:[0-9a-f-]{36}/, "Z:triggered");
const states = { ready: "ready", running: "running", finished: "succeeded", cancelled: "cancelled" } as const;
const jobText = ({ schedule, at, triggered, state, cancelRequested }: ModelJob): string =>
  `${occurrenceId(schedule, instant(at), triggered ? "triggered" : undefined)} ${states[state]} ${cancelRequested}`;

type Rules = Pick<ModelSchedule, "everyMinutes" | "misfire" | "overlap" | "limit"> & {
  readonly endsIn: number | undefined;
};

const upsert = (name: string, { endsIn, ...rules }: Rules, times: number): Command =>
  command(`upsert ${name} ${JSON.stringify({ endsIn, ...rules })} ${times} times`, async (model, { schedules }) => {
    const end = endsIn === undefined ? undefined : model.now + endsIn;
    const given = {
      name,
      job,
      when: { everyMs: rules.everyMinutes * 60_000 },
      timeZone: "Europe/Berlin",
      end: end === undefined ? undefined : instant(end),
      limit: rules.limit,
      misfire: rules.misfire,
      overlap: rules.overlap,
    };
    const answers = await Promise.all(Array.from({ length: times }, () => schedules.upsert(given)));
    const known = model.schedules.get(name);
    expect(answers.filter(({ created }) => created)).toHaveLength(known === undefined ? 1 : 0);
    const fresh = { decidedTo: model.now, paused: false, fired: 0, missed: 0, overlapped: 0, waiting: [], over: false };
    const isSame = known !== undefined && known.everyMinutes === rules.everyMinutes && known.end === end;
    const keeps = isSame && (!known.over || known.limit === rules.limit);
    const next: ModelSchedule = { ...(known ?? fresh), ...rules, end };
    if (!keeps) Object.assign(next, { decidedTo: Math.max(next.decidedTo, model.now), over: false });
    const isSpent = rules.limit !== undefined && next.fired >= rules.limit;
    if (isSpent || modelNext(next) === undefined) next.over = true;
    model.schedules.set(name, next);
  });

const pass = (minutes: number): Command =>
  command(`${minutes} minutes pass`, async (model, { clock }) => {
    model.now += minutes;
    clock.now = instant(model.now);
  });

const fire = (dispatchers: number): Command =>
  command(`${dispatchers} dispatchers fire`, async (model, { schedules }) => {
    const before = model.jobs.length;
    modelFire(model);
    const answers = await Promise.all(
      Array.from({ length: dispatchers }, () => schedules.fire({ limit: 10, publish: true })),
    );
    // with locked rows skipped, one dispatcher may have to look again
    const rest = await schedules.fire({ limit: 10, publish: true });
    const jobs = [...answers, rest].flatMap((answer) => answer.jobs);
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(model.jobs.length - before);
    expect(jobs).toHaveLength(model.jobs.length - before);
  });

const onOne = (
  what: string,
  name: string,
  run: (model: Model, real: Real, one: ModelSchedule) => Promise<void>,
): Command =>
  command(`${what} ${name}`, async (model, real) => {
    const one = model.schedules.get(name);
    if (one !== undefined) await run(model, real, one);
  });

const pause = (name: string): Command =>
  onOne("pause", name, async (_model, { schedules }, one) => {
    await schedules.pause(name, "test");
    one.paused = true;
  });

const resume = (name: string): Command =>
  onOne("resume", name, async (model, { schedules }, one) => {
    await schedules.resume(name);
    if (!one.paused) return;
    one.paused = false;
    one.decidedTo = Math.max(one.decidedTo, model.now);
    if (modelNext(one) === undefined) one.over = true;
  });

const trigger = (name: string): Command =>
  onOne("trigger", name, async (model, { schedules }) => {
    await schedules.trigger(name);
    model.jobs.push({ schedule: name, at: model.now, triggered: true, state: "ready", cancelRequested: false });
  });

const remove = (name: string): Command =>
  onOne("delete", name, async (model, { schedules }) => {
    expect(await schedules.delete(name)).toBe(true);
    model.schedules.delete(name);
  });

/** A worker takes the oldest ready job of a schedule. */
const claim = (name: string): Command =>
  command(`claim a job of ${name}`, async (model, { ledger, workerId }) => {
    const one = unfinishedOf(model, name).find(({ state, triggered }) => state === "ready" && !triggered);
    if (one === undefined) return;
    const id = await idOf(ledger, one);
    expect(await ledger.claim({ workerId, ids: [id] })).toHaveLength(1);
    one.state = "running";
  });

/** Ends what runs, as the worker would; a retried attempt is no new occurrence. */
const finish = (name: string): Command =>
  command(`finish a job of ${name}`, async (model, { ledger, workerId }) => {
    const one = unfinishedOf(model, name).find(({ state }) => state === "running");
    if (one === undefined) return;
    const outcome = { kind: "succeeded", result: null } as const;
    expect(await ledger.settle({ id: await idOf(ledger, one), attempt: 1, workerId, outcome })).toBe("applied");
    one.state = "finished";
  });

async function idOf(ledger: Ledger, { schedule, at }: ModelJob): Promise<string> {
  const { rows } = await ledger.query(`select job_id from ${ledger.table("job_keys")} where key = $1`, [
    occurrenceId(schedule, instant(at)),
  ]);
  return String(rows[0]?.["job_id"]);
}

const name = fc.constantFrom(...names);
const rules = fc.record({
  everyMinutes: fc.constantFrom(1, 2, 5, 7),
  misfire: fc.constantFrom("skip" as const, "once" as const, { catchUp: 2 }, { catchUp: 10 }),
  overlap: fc.constantFrom("allow" as const, "skip" as const, "queue" as const, "cancel" as const),
  limit: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined, freq: 3 }),
  endsIn: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined, freq: 3 }),
} satisfies { [Field in keyof Rules]: fc.Arbitrary<Rules[Field]> });

/** Weighted by repetition: mostly time that passes and dispatchers that fire. */
export const commands: fc.Arbitrary<Command>[] = [
  fc.tuple(name, rules, fc.integer({ min: 1, max: 3 })).map((args) => upsert(...args)),
  ...[1, 2, 3].map(() => fc.integer({ min: 1, max: 12 }).map(pass)),
  fc.integer({ min: -15, max: -1 }).map(pass),
  ...[1, 2, 3, 4].map(() => fc.integer({ min: 1, max: 3 }).map(fire)),
  name.map(pause),
  name.map(resume),
  name.map(trigger),
  name.map(remove),
  name.map(claim),
  name.map(claim),
  name.map(finish),
  name.map(finish),
];
