import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { handle } from "../src/handle.ts";
import { parseConcurrency, parseWorkerOptions } from "../src/worker/worker-options.ts";

const resize = handle(defineJob({ name: "resize", queue: "images", payload: z.object({}) }), () => undefined);
const wide = { ...resize, leastSlots: 8 };
const parts = { ledger: {}, session: {}, log: {}, metrics: {}, jobs: [resize] };

test.for<{ what: string; options: object; code?: string; path: string; says: string }>([
  {
    what: "a definition in place of a handler",
    options: { jobs: [resize, resize.definition] },
    path: "jobs.1",
    says: "handle(definition, …)",
  },
  { what: "a concurrency of 0", options: { concurrency: 0 }, path: "concurrency", says: ">0" },
  { what: "a concurrency of NaN", options: { concurrency: Number.NaN }, path: "concurrency", says: "whole number" },
  { what: "a negative concurrency", options: { concurrency: -1 }, path: "concurrency", says: ">0" },
  { what: "half a slot", options: { concurrency: 1.5 }, path: "concurrency", says: "whole number" },
  {
    what: "bounds the wrong way round",
    options: { concurrency: { min: 5, max: 2 } },
    path: "min",
    says: "at most max",
  },
  { what: "bounds without a maximum", options: { concurrency: { min: 5 } }, path: "max", says: "max" },
  {
    what: "a misspelt bound",
    options: { concurrency: { min: 1, max: 2, targetWait: 5 } },
    code: "JOB_OPTION_UNKNOWN",
    path: "targetWait",
    says: 'did you mean "targetWaitMs"?',
  },
  { what: "a weight of 0", options: { queues: { images: 0 } }, path: "queues.images", says: ">0" },
  { what: "a weight of NaN", options: { queues: { images: Number.NaN } }, path: "queues.images", says: "number" },
  { what: "a negative weight", options: { queues: { images: -2 } }, path: "queues.images", says: ">0" },
  { what: "a weight as text", options: { queues: { images: "6" } }, path: "queues.images", says: "number" },
  {
    what: "a queue without a handler",
    options: { queues: { image: 6 } },
    path: "queues.image",
    says: 'did you mean "images"?',
  },
  {
    what: "fewer slots than a handler needs",
    options: { jobs: [wide], concurrency: 4 },
    path: "concurrency",
    says: "at least 8",
  },
  {
    what: "an unknown option",
    options: { concurency: 4 },
    code: "JOB_OPTION_UNKNOWN",
    path: "concurency",
    says: "concurrency",
  },
  {
    what: "recycling without a limit",
    options: { recycle: { onRecycle: () => undefined } },
    path: "recycle",
    says: "afterJobs",
  },
  {
    what: "recycling without a way out",
    options: { recycle: { afterJobs: 5 } },
    path: "recycle.onRecycle",
    says: "a function",
  },
  {
    what: "recycling after no time",
    options: { recycle: { afterMs: 0, onRecycle: () => undefined } },
    path: "recycle.afterMs",
    says: ">0",
  },
])(
  "$what is refused, and the message says what was expected",
  ({ options, code = "JOB_OPTION_INVALID", path, says }) => {
    expect(() => parseWorkerOptions({ ...parts, ...options })).toThrow(
      expect.objectContaining({
        code,
        details: expect.objectContaining({ path }),
        message: expect.stringContaining(says),
      }),
    );
  },
);

test.for([0, -1, Number.NaN, 2.5, 10_001])("a concurrency of %d cannot be set while running either", (concurrency) => {
  expect(() => parseConcurrency(concurrency, [resize])).toThrow(
    expect.objectContaining({ code: "JOB_OPTION_INVALID" }),
  );
});

test("what is left out has defaults", () => {
  const parsed = parseWorkerOptions(parts);
  expect([parsed.concurrency, parsed.prefetch(10), parsed.prefetch(5_000), parsed.heartbeatMs]).toEqual([
    10, 10, 200, 3_000,
  ]);
  expect(parseWorkerOptions({ ...parts, concurrency: { min: 3, max: 9 } }).concurrency).toBe(3);
});

test.for([0, -1, Number.NaN])("a definition's cap of %d is refused", (concurrency) => {
  expect(() => handle(resize.definition, () => undefined, { concurrency })).toThrow(
    expect.objectContaining({ code: "JOB_OPTION_INVALID" }),
  );
});
