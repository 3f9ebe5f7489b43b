import { waitFor } from "@warren/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Ledger } from "../../src/ledger.ts";
import type { NewSchedule, Schedule } from "../../src/schedules/schedule.ts";
import { scheduledFor } from "../../src/schedules/schedule.ts";
import { type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";
import { job } from "./commands.ts";

let world: LedgerWorld;
let ledger: Ledger;
beforeAll(async () => {
  world = await openLedgerWorld();
  ledger = world.ledger;
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await world.clear();
  await ledger.query(`truncate ${ledger.table("schedules")}`, []);
});

const nightly = (more: Partial<NewSchedule> = {}): NewSchedule => ({
  name: "nightly",
  job,
  when: "at 03:00",
  timeZone: "Europe/Berlin",
  misfire: "once",
  overlap: "allow",
  ...more,
});

/** Makes a schedule's next occurrence this long ago, as if no dispatcher had run since. */
async function silence(name: string, minutes: number): Promise<void> {
  await ledger.query(
    `update ${ledger.table("schedules")} set next_at = date_trunc('minute', clock_timestamp()) - $2 * interval '1 minute',
       decided_to = clock_timestamp() - ($2 + 1) * interval '1 minute' where name = $1`,
    [name, minutes],
  );
}

const must = async (name: string): Promise<Schedule> => {
  const schedule = await ledger.schedules.get(name);
  if (schedule === undefined) throw new Error(`no schedule ${name}`);
  return schedule;
};

async function keys(): Promise<readonly string[]> {
  const { rows } = await ledger.query(`select job_key from ${ledger.table("jobs")} order by job_key`, []);
  return rows.map((row) => String(row["job_key"]));
}

test("many upserts of one name at once make one schedule", async () => {
  const other = await world.openAnother();
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? ledger : other).schedules.upsert(nightly())),
  );
  expect(answers.filter(({ created }) => created)).toHaveLength(1);
  expect(new Set(answers.map(({ schedule }) => schedule.nextAt?.getTime())).size).toBe(1);
  expect(await ledger.schedules.list()).toHaveLength(1);
});

test("another rhythm counts from now, the same one keeps its place", async () => {
  await ledger.schedules.upsert(nightly());
  await silence("nightly", 60 * 24);
  const missed = (await must("nightly")).nextAt;
  const same = await ledger.schedules.upsert(nightly({ job: { ...job, payload: { n: 2 } } }));
  expect(same.schedule.nextAt).toEqual(missed);
  expect(same.schedule.job.payload).toEqual({ n: 2 });
  const before = Date.now();
  const moved = await ledger.schedules.upsert(nightly({ when: { everyMs: 3_600_000 } }));
  expect(moved.schedule.nextAt?.getTime()).toBeGreaterThanOrEqual(before);
  expect(moved.schedule.nextAt?.getTime()).toBeLessThanOrEqual(Date.now() + 3_600_000);
  expect(moved.schedule.when).toBe("every 1h");
});

test("everything that a job is made of reaches the job, with the schedule's name and the intended instant", async () => {
  const own = { ...job, priority: 7, limitKey: "tenant-1", attributes: { tenant: "t1" } };
  const breakers = ["mail:send"];
  await ledger.schedules.upsert(nightly({ when: "every minute", job: { ...own, breakers } }));
  await silence("nightly", 0);
  const { jobs } = await ledger.schedules.fire({ limit: 10, publish: true });
  const record = await ledger.findJob(jobs[0]?.id ?? "");
  expect(record).toMatchObject({ ...own, schedule: "nightly", state: "ready" });
  const { lastAt, lastJobId } = await must("nightly");
  expect(record?.runAt).toEqual(lastAt);
  expect(lastJobId).toBe(record?.id);
  const workerId = await world.worker();
  const [claimed] = await ledger.claim({ workerId, ids: [record?.id ?? ""] });
  expect(claimed).toMatchObject({ breakers, rare: { schedule: "nightly", limitKey: "tenant-1" } });
  expect(scheduledFor(claimed?.key)).toEqual(lastAt);
});

test("twelve dispatchers of three processes fire each occurrence once", async () => {
  const others = [await world.openAnother(), await world.openAnother()];
  for (let index = 0; index < 20; index += 1) {
    await ledger.schedules.upsert(nightly({ name: `s${index}`, when: "every minute", misfire: { catchUp: 5 } }));
    await silence(`s${index}`, 4);
  }
  const rounds = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      ([ledger, ...others][index % 3] ?? ledger).schedules.fire({ limit: 7, publish: true }),
    ),
  );
  const fired = rounds.flatMap(({ jobs }) => jobs);
  await waitFor(async () => {
    const { rounds: more, jobs } = await ledger.schedules.fire({ limit: 7, publish: true });
    fired.push(...jobs);
    return more.length === 0;
  });
  expect(new Set(fired.map(({ id }) => id)).size).toBe(fired.length);
  const made = await keys();
  expect(made).toHaveLength(fired.length);
  // 5 each; one more where the minute turned meanwhile
  expect(made.length).toBeGreaterThanOrEqual(100);
  expect(new Set(made).size).toBe(made.length);
});

test("an occurrence whose job exists is not made again, even if the schedule's row went back to an older state", async () => {
  await ledger.schedules.upsert(nightly({ when: "every minute" }));
  await silence("nightly", 0);
  const before = await must("nightly");
  expect((await ledger.schedules.fire({ limit: 1, publish: true })).jobs).toHaveLength(1);
  await ledger.query(`update ${ledger.table("schedules")} set next_at = $1, decided_to = $2`, [
    before.nextAt,
    new Date((before.nextAt?.getTime() ?? 0) - 1),
  ]);
  const { jobs } = await ledger.schedules.fire({ limit: 1, publish: true });
  // none, or where the minute has turned that minute's
  expect(await keys()).toHaveLength(1 + jobs.length);
});

test("a run that fails, stalls or is retried by hand neither stops nor doubles its schedule", async () => {
  await ledger.schedules.upsert(nightly({ when: "every minute" }));
  const error = { code: "JOB_FAILED", message: "no" };
  const workerId = await world.worker();
  const ends = [
    { kind: "dead", reason: "JOB_FAILED", error },
    { kind: "retrying", delayMs: 0, error },
    { kind: "cancelled", reason: "TEST" },
  ] as const;
  for (const outcome of ends) {
    await silence("nightly", 0);
    await ledger.query(`truncate ${["jobs", "jobs_history", "job_keys"].map(ledger.table).join(", ")}`, []);
    const before = Date.now();
    const { jobs } = await ledger.schedules.fire({ limit: 1, publish: true });
    const id = jobs[0]?.id ?? "";
    await ledger.claim({ workerId, ids: [id] });
    await ledger.settle({ id, attempt: 1, workerId, outcome });
    const retried = await ledger.takeDue({ limit: 5 });
    expect(retried.map((due) => due.id)).toEqual(outcome.kind === "retrying" ? [id] : []);
    const { nextAt, fired } = await must("nightly");
    expect(nextAt?.getTime()).toBeGreaterThanOrEqual(before);
    expect(await keys()).toHaveLength(outcome.kind === "retrying" ? 1 : 0);
    expect(fired).toBe(ends.indexOf(outcome) + 1);
  }
});

test("cancelling or removing a schedule's job leaves the next occurrence alone", async () => {
  await ledger.schedules.upsert(nightly({ when: "every minute" }));
  await silence("nightly", 0);
  const { jobs } = await ledger.schedules.fire({ limit: 1, publish: true });
  const { nextAt } = await must("nightly");
  expect(await ledger.cancel(jobs[0]?.id ?? "", "TEST")).toEqual({ kind: "cancelled" });
  await ledger.delayed.runAllNow({ queue: job.queue });
  expect((await must("nightly")).nextAt).toEqual(nextAt);
});

test("what falls into a pause is left out, and the schedule goes on from its end", async () => {
  await ledger.schedules.upsert(nightly({ when: "every minute", misfire: { catchUp: 100 } }));
  expect(await ledger.schedules.pause("nightly", "anna")).toMatchObject({ state: "paused", pausedBy: "anna" });
  await silence("nightly", 10);
  expect((await ledger.schedules.fire({ limit: 1, publish: true })).jobs).toEqual([]);
  // a deploy does not lift a pause
  await ledger.schedules.upsert(nightly({ when: "every minute", misfire: { catchUp: 100 } }));
  expect(await must("nightly")).toMatchObject({ state: "paused" });
  const before = Date.now();
  const resumed = await ledger.schedules.resume("nightly");
  expect(resumed).toMatchObject({ state: "active", pausedBy: undefined });
  expect(resumed.nextAt?.getTime()).toBeGreaterThanOrEqual(before);
  expect((await ledger.schedules.fire({ limit: 1, publish: true })).jobs.length).toBeLessThanOrEqual(1);
});

test("a run triggered by hand is a run of its own, and one that others must not overlap", async () => {
  await ledger.schedules.upsert(nightly({ when: "every minute", overlap: "skip" }));
  await ledger.schedules.pause("nightly", "anna");
  const first = await ledger.schedules.trigger("nightly");
  const second = await ledger.schedules.trigger("nightly");
  expect(first.id).not.toBe(second.id);
  expect(scheduledFor((await keys())[0])?.getTime()).toBeGreaterThan(Date.now() - 60_000);
  await ledger.schedules.resume("nightly");
  await silence("nightly", 0);
  expect((await ledger.schedules.fire({ limit: 1, publish: true })).rounds).toMatchObject([
    { fired: [], overlapped: 1 },
  ]);
});

// A counterexample of the property test, kept.
test.for([
  { overlap: "allow", fired: 2, overlapped: 0 },
  { overlap: "cancel", fired: 1, overlapped: 1 },
  { overlap: "skip", fired: 0, overlapped: 2 },
] as const)(
  "what waits for its turn is decided at once when the policy becomes $overlap",
  async ({ overlap, ...expected }) => {
    const queued = nightly({ when: { everyMs: 3_600_000 }, overlap: "queue", misfire: { catchUp: 3 } });
    await ledger.schedules.upsert(queued);
    await silence("nightly", 180);
    await ledger.schedules.fire({ limit: 1, publish: true });
    expect((await must("nightly")).waiting).toHaveLength(2);
    await ledger.schedules.upsert({ ...queued, overlap });
    const [round] = (await ledger.schedules.fire({ limit: 1, publish: true })).rounds;
    expect({ fired: round?.fired.length, overlapped: round?.overlapped }).toEqual(expected);
    expect((await must("nightly")).waiting).toEqual([]);
  },
);

test("the limit ends a schedule; a higher one revives it", async () => {
  await ledger.schedules.upsert(nightly({ when: "every minute", limit: 1 }));
  await silence("nightly", 0);
  await ledger.schedules.fire({ limit: 1, publish: true });
  expect(await must("nightly")).toMatchObject({ state: "ended", nextAt: undefined, fired: 1 });
  await ledger.schedules.upsert(nightly({ when: "every minute", limit: 1 }));
  expect(await must("nightly")).toMatchObject({ state: "ended" });
  await ledger.schedules.upsert(nightly({ when: "every minute", limit: 2 }));
  expect(await must("nightly")).toMatchObject({ state: "active" });
});

test("code wins at its deploy, and what it no longer defines is shown as an orphan and kept", async () => {
  await ledger.schedules.upsert(nightly({ when: "@hourly" }));
  const code = [nightly(), nightly({ name: "weekly", when: "@weekly" })];
  const first = await ledger.schedules.register({ service: "reports", schedules: code });
  expect(first.orphans).toEqual([]);
  expect(await must("nightly")).toMatchObject({ when: "at 03:00", origin: { kind: "code", service: "reports" } });
  const second = await ledger.schedules.register({ service: "reports", schedules: [nightly({ when: "at 04:00" })] });
  expect(second.orphans.map(({ name }) => name)).toEqual(["weekly"]);
  const orphan = await must("weekly");
  expect(orphan).toMatchObject({ state: "active" });
  expect(orphan.orphanedAt).toBeInstanceOf(Date);
  expect(await must("nightly")).toMatchObject({ when: "at 04:00", orphanedAt: undefined });
  // back in the code: no orphan any more
  await ledger.schedules.register({ service: "reports", schedules: code });
  expect(await must("weekly")).toMatchObject({ orphanedAt: undefined });
});

const deploy = (order: readonly string[]) => ({
  service: "reports",
  schedules: order.map((name) => nightly({ name })),
});

test("two replicas that deploy at once do not get in each other's way", async () => {
  const other = await world.openAnother();
  const names = Array.from({ length: 20 }, (_, index) => `s${index}`);
  await Promise.all([
    ledger.schedules.register(deploy(names)),
    other.schedules.register(deploy(names.toReversed())),
    ledger.schedules.register(deploy(names)),
  ]);
  expect(await ledger.schedules.list()).toHaveLength(20);
});

test("a name that another service's code defines is refused, and nothing of the deploy is written", async () => {
  await ledger.schedules.register({ service: "reports", schedules: [nightly()] });
  const deploy = { service: "images", schedules: [nightly({ name: "a" }), nightly()] };
  await expect(ledger.schedules.register(deploy)).rejects.toMatchObject({ code: "SCHEDULE_TAKEN" });
  expect(await ledger.schedules.list()).toHaveLength(1);
});

test.for([
  {
    what: "an end before the start",
    more: { start: new Date(2e12), end: new Date(1e12) },
    code: "SCHEDULE_RANGE_INVALID",
  },
  {
    what: "no time between start and end",
    more: { start: new Date("2030-01-01T04:00Z"), end: new Date("2030-01-01T05:00Z") },
    code: "SCHEDULE_NEVER_FIRES",
  },
  { what: "an impossible cron", more: { when: "0 0 30 2 *" }, code: "SCHEDULE_NEVER_FIRES" },
  { what: "an unknown zone", more: { timeZone: "Mars/Base" }, code: "SCHEDULE_ZONE_UNKNOWN" },
  { what: "an interval of nothing", more: { when: { everyMs: 0 } }, code: "SCHEDULE_TOO_FREQUENT" },
])("$what is refused, and nothing is written", async ({ more, code }) => {
  await expect(ledger.schedules.upsert(nightly(more))).rejects.toMatchObject({ code });
  expect(await ledger.schedules.list()).toEqual([]);
});

test("an unknown name says so", async () => {
  const refused = { code: "SCHEDULE_UNKNOWN" };
  await expect(ledger.schedules.pause("nobody", "anna")).rejects.toMatchObject(refused);
  await expect(ledger.schedules.resume("nobody")).rejects.toMatchObject(refused);
  await expect(ledger.schedules.trigger("nobody")).rejects.toMatchObject(refused);
  await expect(ledger.schedules.preview("nobody", 3)).rejects.toMatchObject(refused);
  expect(await ledger.schedules.delete("nobody")).toBe(false);
  expect(await ledger.schedules.get("nobody")).toBeUndefined();
});

test("a schedule that this process cannot read stops no other", async () => {
  await ledger.schedules.upsert(nightly({ name: "bad", when: "every minute" }));
  await ledger.schedules.upsert(nightly({ name: "good", when: "every minute" }));
  await silence("bad", 1);
  await silence("good", 0);
  await ledger.query(`update ${ledger.table("schedules")} set fires = 'every blue moon' where name = 'bad'`, []);
  const round = await ledger.schedules.fire({ limit: 10, publish: true });
  expect(round.unreadable).toMatchObject([{ name: "bad", error: { code: "SCHEDULE_WHEN_INVALID" } }]);
  expect(round.rounds.map(({ name }) => name)).toEqual(["good"]);
  expect((await ledger.schedules.fire({ limit: 10, except: ["bad"], publish: true })).unreadable).toEqual([]);
});

test("the preview is what will fire, up to the limit", async () => {
  await ledger.schedules.upsert(nightly({ start: new Date("2030-03-30T12:00Z"), limit: 3 }));
  expect((await ledger.schedules.preview("nightly", 10)).map((at) => at.toISOString())).toEqual([
    "2030-03-31T01:00:00.000Z",
    "2030-04-01T01:00:00.000Z",
    "2030-04-02T01:00:00.000Z",
  ]);
});
