import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../src/define.ts";
import { handle } from "../../src/handle.ts";
import { type Bench, openBench } from "../fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
  bench.dispatch();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const mailV1 = defineJob({ name: "mail", payload: z.object({ to: z.string() }) });
const mailV2 = defineJob({ name: "mail", version: 2, payload: z.object({ recipients: z.array(z.string()) }) });
const mailV3 = defineJob({
  name: "mail",
  version: 3,
  payload: z.object({ recipients: z.array(z.email()), locale: z.string() }),
  upcast: {
    1: ({ to }: { to: string }) => {
      if (to === "") throw new Error("nobody");
      return { recipients: [to] };
    },
    2: ({ recipients }: { recipients: string[] }) => ({ recipients, locale: "en" }),
  },
});
const mailV4 = defineJob({ name: "mail", version: 4, payload: z.object({}) });

test("a worker of the new version runs jobs of all versions that it can upcast", async () => {
  const seen = new Map<number, unknown>();
  await bench.worker([handle(mailV3, ({ payload, version }) => void seen.set(version, payload))]);
  const jobs = [
    await bench.client.enqueue(mailV1, { to: "a@b.cd" }),
    await bench.client.enqueue(mailV2, { recipients: ["b@b.cd"] }),
    await bench.client.enqueue(mailV3, { recipients: ["c@b.cd"], locale: "ru" }),
  ];
  for (const { id } of jobs) await bench.until(id, "succeeded");
  expect([...seen].sort(([left], [right]) => left - right)).toEqual([
    [1, { recipients: ["a@b.cd"], locale: "en" }],
    [2, { recipients: ["b@b.cd"], locale: "en" }],
    [3, { recipients: ["c@b.cd"], locale: "ru" }],
  ]);
});

test("an upcaster that throws, and one whose result does not fit, end the job with codes of their own", async () => {
  await bench.worker([handle(mailV3, () => undefined)]);
  const broken = await bench.client.enqueue(mailV1, { to: "" });
  const unfit = await bench.client.enqueue(mailV1, { to: "no address" });
  const dead = [await bench.until(broken.id, "dead"), await bench.until(unfit.id, "dead")];
  expect(dead.map(({ reason, attempt, errors }) => [reason, attempt, errors[0]?.message])).toEqual([
    ["PAYLOAD_UPCAST_FAILED", 1, expect.stringContaining("from version 1 to 2 failed: nobody")],
    ["JOB_PAYLOAD_INVALID", 1, expect.stringContaining("payload (upcast from version 1) of mail.recipients.0")],
  ]);
});

test("a newer version is handed back without losing an attempt, and dead in the end, naming the versions that are known", async () => {
  await bench.worker([handle(mailV3, () => undefined)]);
  const { id } = await bench.client.enqueue(mailV4, {});
  const waiting = await bench.until(id, "retrying");
  expect([waiting.attempt - waiting.excused, waiting.errors[0]?.code]).toEqual([0, "JOB_UNKNOWN"]);
  // as after twenty minutes of offers
  await bench.ledger.query(
    `update ${bench.ledger.table("jobs")} set attempt = 25, excused = 25, settled = 25, run_at = now() where id = $1`,
    [id],
  );
  const job = await bench.until(id, "dead");
  expect([job.reason, job.errors[0]?.message]).toEqual([
    "JOB_UNKNOWN",
    "this worker does not handle mail version 4; it handles 1, 2, 3",
  ]);
});
