import { assert, double, integer, property } from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type BackoffOption,
  type BackoffRule,
  backoffDelayMs,
  defaultBackoff,
  parseBackoff,
  readCustomDelay,
} from "../src/backoff.ts";

function rule(option: BackoffOption | undefined): BackoffRule {
  const parsed = parseBackoff("test", option);
  if (typeof parsed === "function") throw new TypeError("a rule was expected");
  return parsed;
}

describe("backoffDelayMs", () => {
  test.for<{ of: string; option: BackoffOption; attempt: number; random: number; delayMs: number }>([
    { of: "fixed", option: { kind: "fixed", delayMs: 500 }, attempt: 9, random: 0.9, delayMs: 500 },
    {
      of: "fixed with full jitter",
      option: { kind: "fixed", delayMs: 500, jitter: "full" },
      attempt: 1,
      random: 0.9,
      delayMs: 50,
    },
    { of: "fixed at zero", option: { kind: "fixed", delayMs: 0 }, attempt: 1, random: 0, delayMs: 0 },
    {
      of: "exponential, first",
      option: { kind: "exponential", jitter: "none" },
      attempt: 1,
      random: 0,
      delayMs: 1_000,
    },
    {
      of: "exponential, fourth",
      option: { kind: "exponential", jitter: "none" },
      attempt: 4,
      random: 0,
      delayMs: 8_000,
    },
    {
      of: "exponential, capped",
      option: { kind: "exponential", maxDelayMs: 5_000, jitter: "none" },
      attempt: 4,
      random: 0,
      delayMs: 5_000,
    },
    {
      of: "exponential beyond all numbers",
      option: { kind: "exponential", jitter: "none" },
      attempt: 5_000,
      random: 0,
      delayMs: 3_600_000,
    },
    {
      of: "exponential by three",
      option: { kind: "exponential", delayMs: 10, factor: 3, jitter: "none" },
      attempt: 3,
      random: 0,
      delayMs: 90,
    },
    { of: "partial jitter", option: { kind: "exponential", jitter: 0.5 }, attempt: 1, random: 0.5, delayMs: 750 },
  ])("$of: $delayMs ms", ({ option, attempt, random, delayMs }) => {
    expect(backoffDelayMs(rule(option), attempt, () => random)).toBe(delayMs);
  });

  test("jitter stays in its band, whatever the attempt", () => {
    assert(
      property(
        integer({ min: 1, max: 100 }),
        double({ min: 0, max: 0.999, noNaN: true }),
        double({ min: 0, max: 1, noNaN: true }),
        (attempt, random, jitter) => {
          const plain = backoffDelayMs(rule({ kind: "exponential", jitter: "none" }), attempt, () => 0);
          const delay = backoffDelayMs(rule({ kind: "exponential", jitter }), attempt, () => random);
          expect(delay).toBeGreaterThanOrEqual(Math.floor(plain * (1 - jitter)));
          expect(delay).toBeLessThanOrEqual(plain);
        },
      ),
    );
  });
});

test("the default is exponential with a cap", () => {
  expect(rule(undefined)).toBe(defaultBackoff);
  expect(defaultBackoff).toEqual({
    kind: "exponential",
    delayMs: 1_000,
    factor: 2,
    maxDelayMs: 3_600_000,
    jitter: 0.2,
  });
});

test.for<{ answer: unknown; meaning: unknown }>([
  { answer: 0, meaning: { delayMs: 0 } },
  { answer: 12.4, meaning: { delayMs: 12 } },
  { answer: -1, meaning: "stop" },
  { answer: "stop", meaning: "stop" },
  { answer: -2, meaning: undefined },
  { answer: Number.NaN, meaning: undefined },
  { answer: Number.POSITIVE_INFINITY, meaning: undefined },
  { answer: "late", meaning: undefined },
  { answer: undefined, meaning: undefined },
])("a custom backoff that answers $answer means $meaning", ({ answer, meaning }) => {
  expect(readCustomDelay(answer)).toEqual(meaning);
});
