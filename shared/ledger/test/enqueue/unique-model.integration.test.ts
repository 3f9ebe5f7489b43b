import { type Ledger, newId } from "@warren/ledger";
import { propertyRuns, propertyTimeout } from "@warren/testing/properties";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { modelEnqueue, modelFinish, type UniqueModel, type Wanted } from "../model/unique-model.ts";
import { aJob, openLedgerWorld } from "../support/ledger-world.ts";

interface Real {
  readonly ledger: Ledger;
  readonly workerId: string;
  /** Fences of running jobs. */
  readonly attempts: Map<string, number>;
}
type Command = fc.AsyncCommand<UniqueModel, Real>;

function command(name: string, run: (model: UniqueModel, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      await run(model, real);
      await expectSame(model, real.ledger);
    },
    toString: () => name,
  };
}

async function expectSame(model: UniqueModel, ledger: Ledger): Promise<void> {
  const { rows } = await ledger.query(
    `select id, state, (payload ->> 'n')::int as n from ${ledger.table("jobs")} order by id`,
    [],
  );
  const expected = [...model.jobs]
    .filter(([, job]) => job.state !== "finished")
    .map(([id, job]) => ({ id, state: job.state, n: job.payload }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  expect(rows).toEqual(expected);
}

const pick = <T>(from: readonly T[], index: number): T | undefined => from[index % Math.max(1, from.length)];
const inState = (model: UniqueModel, ...states: readonly string[]): string[] =>
  [...model.jobs].filter(([, job]) => states.includes(job.state)).map(([id]) => id);

let payloads = 0;

const enqueue = (wanted: Wanted): Command =>
  command(`enqueue ${JSON.stringify(wanted)}`, async (model, { ledger }) => {
    payloads += 1;
    const expected = modelEnqueue(model, wanted, payloads);
    const [result] = await ledger.enqueue([aJob({ unique: wanted, payload: { n: payloads } })]);
    expect(result).toMatchObject(expected);
    if (!expected.created) return;
    model.jobs.set(result!.id, {
      key: wanted.key,
      state: "ready",
      started: false,
      payload: payloads,
      successor: undefined,
    });
    model.holders.set(wanted.key, { id: result!.id, until: wanted.until });
  });

const claim = (index: number): Command =>
  command(`claim ${index}`, async (model, { ledger, workerId, attempts }) => {
    const id = pick(inState(model, "ready"), index);
    if (id === undefined) return;
    const [job] = await ledger.claim({ workerId, ids: [id] });
    const known = model.jobs.get(id)!;
    expect(job?.payload).toEqual({ n: known.payload });
    attempts.set(id, job!.attempt);
    known.state = "running";
    known.started = true;
  });

/** A job that has just ended: its successor must be there, with the latest payload, and hold the key. */
async function follow(model: UniqueModel, { ledger }: Real, id: string): Promise<void> {
  const { key } = model.jobs.get(id)!;
  const payload = modelFinish(model, id);
  if (payload === undefined) return;
  const { rows } = await ledger.query(
    `select job_id from ${ledger.table("unique_keys")} where name = 'test.job' and key = $1`,
    [key],
  );
  const next = String(rows[0]?.["job_id"]);
  expect(next).not.toBe(id);
  model.jobs.set(next, { key, state: "ready", started: false, payload, successor: undefined });
  model.holders.set(key, { id: next, until: "finished" });
}

const settle = (index: number, how: "succeeded" | "dead" | "retrying"): Command =>
  command(`settle ${index} ${how}`, async (model, real) => {
    const id = pick(inState(model, "running"), index);
    if (id === undefined) return;
    const error = { code: "TEST", message: "for the test" };
    const outcome = {
      succeeded: { kind: "succeeded", result: null },
      dead: { kind: "dead", reason: "TEST", error },
      retrying: { kind: "retrying", delayMs: 0, error },
    } as const;
    const attempt = real.attempts.get(id)!;
    const { ledger, workerId } = real;
    expect(await ledger.settle({ id, attempt, workerId, outcome: outcome[how] })).toBe("applied");
    if (how === "retrying") model.jobs.get(id)!.state = "retrying";
    else await follow(model, real, id);
  });

const due: Command = command("due", async (model, { ledger }) => {
  await ledger.takeDue({ limit: 100 });
  for (const id of inState(model, "retrying")) model.jobs.get(id)!.state = "ready";
});

const cancel = (index: number): Command =>
  command(`cancel ${index}`, async (model, real) => {
    const id = pick(inState(model, "ready", "retrying"), index);
    if (id === undefined) return;
    expect(await real.ledger.cancel(id, "TEST")).toEqual({ kind: "cancelled" });
    await follow(model, real, id);
  });

const any = fc.nat({ max: 9 });
const wanted: fc.Arbitrary<Wanted> = fc
  .record({
    key: fc.constantFrom("a", "b"),
    until: fc.constantFrom("started", "finished"),
    onConflict: fc.constantFrom("ignore", "replace", "extend", "keep-last"),
  })
  .map((one) => (one.onConflict === "keep-last" ? { ...one, until: "finished" } : one));
const commands = fc.commands(
  [
    wanted.map(enqueue),
    wanted.map(enqueue),
    any.map(claim),
    fc.tuple(any, fc.constantFrom("succeeded", "dead", "retrying")).map(([index, how]) => settle(index, how)),
    fc.constant(due),
    any.map(cancel),
  ],
  { maxCommands: 40, size: "max" },
);

test("no sequence of calls makes a second job of one key, runs a stale payload, or loses the latest", {
  timeout: propertyTimeout(120_000),
}, async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      await ledger.query(`truncate ${["jobs", "jobs_history", "unique_keys"].map(ledger.table).join(", ")}`, []);
      const workerId = newId();
      await ledger.registerWorker({
        id: workerId,
        host: "t",
        pid: 1,
        version: "0",
        queues: ["default"],
        concurrency: 1,
      });
      const model: UniqueModel = { jobs: new Map(), holders: new Map() };
      await fc.asyncModelRun(() => ({ model, real: { ledger, workerId, attempts: new Map() } }), sequence);
      const held = await ledger.query(`select count(*)::int as n from ${ledger.table("unique_keys")}`, []);
      expect(held.rows).toEqual([{ n: model.holders.size }]);
    }),
    { numRuns: propertyRuns(20) },
  );
});
