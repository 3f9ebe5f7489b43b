import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defineJob, defineSchedule, registerSchedules } from "../src/index.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

const plain = defineJob({ name: "plain", payload: z.object({ n: z.number() }) });
const hourly = { name: "hourly", job: plain, payload: { n: 1 }, when: "@hourly" } as const;

test("what an author leaves out has its default, and what he says is kept", async () => {
  const { schedule } = await bench.client.schedules.upsert(hourly);
  expect(schedule).toMatchObject({
    origin: { kind: "api" },
    when: "@hourly",
    timeZone: "UTC",
    misfire: "once",
    overlap: "allow",
    limit: undefined,
    state: "active",
    job: { name: "plain", queue: "default", version: 1, payload: { n: 1 }, maxAttempts: 5 },
  });
  const changed = await bench.client.schedules.upsert({
    ...hourly,
    when: { everyMs: 90_000, offsetMs: 1_000 },
    misfire: { catchUp: 3 },
    overlap: "queue",
    limit: 9,
    priority: 4,
    key: "tenant-1",
  });
  expect(changed).toMatchObject({
    created: false,
    schedule: {
      when: "every 90s offset 1s",
      misfire: { catchUp: 3 },
      overlap: "queue",
      limit: 9,
      job: { priority: 4, limitKey: "tenant-1" },
    },
  });
  expect((await bench.client.schedules.list()).map(({ name }) => name)).toEqual(["hourly"]);
  expect(await bench.client.schedules.delete("hourly")).toBe(true);
});

test("a schedule of the code that is gone is an orphan: told, logged, shown, and still there", async () => {
  const { ledger } = bench;
  const log = bench.log.logger;
  const [a, b] = ["a", "b"].map((name) => defineSchedule({ ...hourly, name }));
  if (a === undefined || b === undefined) throw new Error("two schedules");
  await registerSchedules({ ledger, service: "mail", schedules: [a, b], log });
  const { orphans } = await registerSchedules({ ledger, service: "mail", schedules: [a], log });
  expect(orphans.map(({ name }) => name)).toEqual(["b"]);
  expect(
    bench.log.lines.filter((line) => line["service"] === "mail" || line["orphans"] !== undefined).at(-1),
  ).toMatchObject({
    level: "warn",
    orphans: ["b"],
  });
  expect(await bench.client.schedules.get("b")).toMatchObject({ state: "active", orphanedAt: expect.any(Date) });
});

test("the unique rule of a definition does not hold a schedule's runs back: its overlap policy does", async () => {
  const once = defineJob({ name: "once", payload: z.object({ n: z.number() }), unique: { forMs: 3_600_000 } });
  await bench.client.schedules.upsert({ ...hourly, name: "once", job: once });
  const first = await bench.client.schedules.trigger("once");
  const second = await bench.client.schedules.trigger("once");
  expect(second.id).not.toBe(first.id);
  expect(await bench.ledger.findJob(second.id)).toMatchObject({ state: "ready" });
});

test("the preview of a schedule that is not made yet", async () => {
  const next = await bench.client.schedules.preview({ when: "at 12:00", timeZone: "Asia/Kolkata" }, 2);
  expect(next.map((at) => at.toISOString().slice(11, 16))).toEqual(["06:30", "06:30"]);
});

test.for([
  {
    what: "an unknown option",
    more: { timezone: "UTC" },
    code: "JOB_OPTION_UNKNOWN",
    says: 'did you mean "timeZone"?',
  },
  { what: "a name with a blank", more: { name: "my report" }, code: "JOB_OPTION_INVALID", says: "letters" },
  { what: "a misfire policy that is none", more: { misfire: "all" }, code: "JOB_OPTION_INVALID", says: "catchUp" },
  { what: "catching up nothing", more: { misfire: { catchUp: 0 } }, code: "JOB_OPTION_INVALID", says: "misfire" },
  { what: "an overlap policy that is none", more: { overlap: "both" }, code: "JOB_OPTION_INVALID", says: "overlap" },
  { what: "a limit of nothing", more: { limit: 0 }, code: "JOB_OPTION_INVALID", says: "limit" },
  { what: "a limit that is not a number", more: { limit: Number.NaN }, code: "JOB_OPTION_INVALID", says: "limit" },
  { what: "a start that is no date", more: { start: new Date(Number.NaN) }, code: "JOB_OPTION_INVALID", says: "start" },
  { what: "a rhythm that is none", more: { when: 5 }, code: "JOB_OPTION_INVALID", says: "when" },
  { what: "a job that is none", more: { job: "plain" }, code: "JOB_OPTION_INVALID", says: "job definition" },
  {
    what: "a zone for an interval",
    more: { when: "5 minutes", timeZone: "Europe/Berlin" },
    code: "JOB_OPTION_INVALID",
    says: "grid",
  },
  { what: "a payload that does not fit", more: { payload: { n: "1" } }, code: "JOB_PAYLOAD_INVALID", says: "n" },
  { what: "an impossible cron", more: { when: "0 0 30 2 *" }, code: "SCHEDULE_NEVER_FIRES", says: "no date" },
  { what: "an unknown zone", more: { timeZone: "Mars/Base" }, code: "SCHEDULE_ZONE_UNKNOWN", says: "Mars/Base" },
  {
    what: "an interval that is not a number",
    more: { when: { everyMs: Number.NaN } },
    code: "SCHEDULE_WHEN_INVALID",
    says: "NaN",
  },
  { what: "a negative interval", more: { when: { everyMs: -1 } }, code: "SCHEDULE_WHEN_INVALID", says: "duration" },
  { what: "too many a second", more: { when: "every 10 ms" }, code: "SCHEDULE_TOO_FREQUENT", says: "1000 ms" },
])("$what is refused in code and at run time", async ({ more, code, says }) => {
  const given = { ...hourly, ...more } as never;
  const refused = expect.objectContaining({ code, message: expect.stringContaining(says) });
  expect(() => defineSchedule(given)).toThrow(refused);
  await expect(bench.client.schedules.upsert(given)).rejects.toEqual(refused);
});

test("a payload that must be encrypted is refused where nobody can do it: by registering without a client's prepare", async () => {
  const secret = defineJob({ name: "secret", payload: z.object({ n: z.number() }), encrypt: true });
  const schedules = [defineSchedule({ ...hourly, job: secret })];
  const { ledger } = bench;
  await expect(registerSchedules({ ledger, service: "mail", schedules })).rejects.toMatchObject({
    code: "JOB_SEALING_REQUIRED",
  });
  await expect(bench.client.schedules.upsert({ ...hourly, job: secret })).rejects.toMatchObject({
    code: "PAYLOAD_KEY_RING_MISSING",
  });
  expect((await ledger.schedules.list()).filter(({ job }) => job.name === "secret")).toEqual([]);
});

test("an end before the start is refused where it is written", async () => {
  const given = { ...hourly, start: new Date("2030-01-02"), end: new Date("2030-01-01") };
  await expect(bench.client.schedules.upsert(given)).rejects.toMatchObject({ code: "SCHEDULE_RANGE_INVALID" });
});

test("two schedules of one name in the code of one service are refused", async () => {
  const { ledger } = bench;
  const schedules = [defineSchedule(hourly), defineSchedule(hourly)];
  await expect(registerSchedules({ ledger, service: "mail", schedules })).rejects.toMatchObject({
    code: "JOB_OPTION_INVALID",
  });
});

test("a client-chosen id that could be an occurrence's is refused", async () => {
  const id = "schedule:hourly:2030-01-01T00:00:00.000Z";
  await expect(bench.client.enqueue(plain, { n: 1 }, { id })).rejects.toMatchObject({ code: "JOB_OPTION_INVALID" });
});

test("waiting jobs through the client: run now, put off, call off, and what is refused", async () => {
  const { client } = bench;
  const one = await client.enqueue(plain, { n: 1 }, { delayMs: 3_600_000 });
  const { runAt } = await client.delayed.reschedule(one.id, { at: new Date("2099-01-01T00:00:00Z") });
  expect(runAt).toEqual(new Date("2099-01-01T00:00:00Z"));
  await client.delayed.runNow(one.id);
  expect((await bench.ledger.takeDue({ limit: 5 })).map(({ id }) => id)).toEqual([one.id]);
  const two = await client.enqueue(plain, { n: 2 }, { delayMs: 3_600_000 });
  const three = await client.enqueue(plain, { n: 3 }, { delayMs: 3_600_000 });
  await client.delayed.cancel(three.id);
  expect(await bench.ledger.findJob(three.id)).toMatchObject({ state: "cancelled", reason: "JOB_CALLED_OFF" });
  expect(await client.delayed.runAllNow({ job: plain })).toEqual({ jobs: 1 });
  expect((await bench.ledger.takeDue({ limit: 5 })).map(({ id }) => id)).toEqual([two.id]);
  await expect(client.delayed.runNow(two.id)).rejects.toMatchObject({ code: "JOB_NOT_WAITING" });
  const invalid = { code: "JOB_OPTION_INVALID" };
  await expect(client.delayed.runAllNow({})).rejects.toMatchObject(invalid);
  await expect(client.delayed.reschedule(two.id, {} as never)).rejects.toMatchObject(invalid);
  await expect(client.delayed.reschedule(two.id, { delayMs: -1 })).rejects.toMatchObject(invalid);
  await expect(client.delayed.reschedule(two.id, { delayMs: Number.NaN })).rejects.toMatchObject(invalid);
  await expect(client.delayed.reschedule(two.id, { at: new Date(Number.NaN) })).rejects.toMatchObject(invalid);
});
