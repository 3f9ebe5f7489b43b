import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { JobOptionError } from "../src/errors.ts";

const payload = z.object({ to: z.string() });

function refusal(options: object): JobOptionError {
  try {
    defineJob({ name: "mail", payload, ...options });
  } catch (error) {
    if (error instanceof JobOptionError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

test("what is left out has defaults, and the hard timeout follows the soft one", () => {
  expect(defineJob({ name: "mail", payload, timeoutMs: 1_000 })).toMatchObject({
    version: 1,
    queue: "default",
    attempts: 5,
    timeoutMs: 1_000,
    hardTimeoutMs: 31_000,
    maxStalls: 3,
    breakers: [],
    bundleSize: 50,
  });
});

test.for<{ what: string; options: object; code: string; path: string; says?: string }>([
  {
    what: "a misspelt option",
    options: { attemps: 3 },
    code: "JOB_OPTION_UNKNOWN",
    path: "attemps",
    says: 'did you mean "attempts"?',
  },
  {
    what: "a shortened option",
    options: { timeout: 3 },
    code: "JOB_OPTION_UNKNOWN",
    path: "timeout",
    says: '"timeoutMs"',
  },
  {
    what: "an option like no other",
    options: { colour: "red" },
    code: "JOB_OPTION_UNKNOWN",
    path: "colour",
    says: "known: name",
  },
  { what: "NaN attempts", options: { attempts: Number.NaN }, code: "JOB_OPTION_INVALID", path: "attempts" },
  { what: "no attempts", options: { attempts: 0 }, code: "JOB_OPTION_INVALID", path: "attempts" },
  { what: "negative attempts", options: { attempts: -1 }, code: "JOB_OPTION_INVALID", path: "attempts" },
  { what: "half an attempt", options: { attempts: 1.5 }, code: "JOB_OPTION_INVALID", path: "attempts" },
  {
    what: "an infinite timeout",
    options: { timeoutMs: Number.POSITIVE_INFINITY },
    code: "JOB_OPTION_INVALID",
    path: "timeoutMs",
  },
  {
    what: "a timeout past Node's timers",
    options: { timeoutMs: 2 ** 31 },
    code: "JOB_OPTION_INVALID",
    path: "timeoutMs",
  },
  {
    what: "a hard timeout below the soft one",
    options: { timeoutMs: 20, hardTimeoutMs: 10 },
    code: "JOB_OPTION_INVALID",
    path: "hardTimeoutMs",
  },
  { what: "negative stalls", options: { maxStalls: -1 }, code: "JOB_OPTION_INVALID", path: "maxStalls" },
  { what: "an empty name", options: { name: "" }, code: "JOB_OPTION_INVALID", path: "name" },
  { what: "a queue with a dot", options: { queue: "a.b" }, code: "JOB_OPTION_INVALID", path: "queue" },
  { what: "a payload that is no schema", options: { payload: {} }, code: "JOB_OPTION_INVALID", path: "payload" },
  {
    what: "a negative delay",
    options: { backoff: { kind: "fixed", delayMs: -1 } },
    code: "JOB_OPTION_INVALID",
    path: "delayMs",
  },
  {
    what: "a misspelt part of the backoff",
    options: { backoff: { kind: "fixed", delay: 1 } },
    code: "JOB_OPTION_UNKNOWN",
    path: "delay",
    says: 'did you mean "delayMs"?',
  },
  {
    what: "an unknown kind of backoff",
    options: { backoff: { kind: "linear" } },
    code: "JOB_OPTION_INVALID",
    path: "backoff",
  },
  {
    what: "too much jitter",
    options: { backoff: { kind: "exponential", jitter: 1.5 } },
    code: "JOB_OPTION_INVALID",
    path: "jitter",
  },
])("$what is refused with $code at $path", ({ options, code, path, says }) => {
  const error = refusal(options);
  expect([error.code, error.details["path"]]).toEqual([code, path]);
  expect(error.message).toContain(says ?? "defineJob");
});
