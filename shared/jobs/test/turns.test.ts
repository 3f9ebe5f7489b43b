import { array, assert, constantFrom, dictionary, integer, property } from "fast-check";
import { expect, test } from "vitest";
import { createTurns } from "../src/worker/turns.ts";

function picks(weights: Record<string, number>, count: number): string[] {
  const turns = createTurns(weights);
  return Array.from({ length: count }, () => turns.pick(Object.keys(weights)) ?? "");
}

const countOf = (all: readonly string[], one: string): number => all.filter((pick) => pick === one).length;

test("while all have work, each gets exactly its share of each round", () => {
  const all = picks({ critical: 6, default: 3, low: 1 }, 10_000);
  for (const [queue, share] of Object.entries({ critical: 6_000, default: 3_000, low: 1_000 }))
    expect(countOf(all, queue)).toBe(share);
});

test("turns are spread evenly, not handed out in runs", () => {
  const longestRun = Math.max(
    ...picks({ c: 6, d: 3, l: 1 }, 1_000)
      .join("")
      .split(/[dl]+/)
      .map((run) => run.length),
  );
  expect(longestRun).toBeLessThanOrEqual(3);
});

test("without weights every queue has the same turn", () => {
  const turns = createTurns({});
  const all = Array.from({ length: 9 }, () => turns.pick(["a", "b", "c"]) ?? "");
  expect(["a", "b", "c"].map((queue) => countOf(all, queue))).toEqual([3, 3, 3]);
});

test("with no candidate there is no turn", () => {
  expect(createTurns({ a: 1 }).pick([])).toBeUndefined();
});

const queues = ["a", "b", "c", "d"] as const;
const weightsArbitrary = dictionary(constantFrom(...queues), integer({ min: 1, max: 20 }), { minKeys: 2 });
const sum = (weights: Record<string, number>): number =>
  Object.values(weights).reduce((all, weight) => all + weight, 0);

test("property: whatever came before, a queue that has work is picked within a bounded number of turns, and some queue always is", () => {
  assert(
    property(weightsArbitrary, array(integer({ min: 0, max: 15 }), { maxLength: 200 }), (weights, past) => {
      const names = Object.keys(weights);
      const turns = createTurns(weights);
      for (const mask of past) {
        const candidates = names.filter((_, index) => (mask & (1 << index)) !== 0);
        expect(candidates.length === 0 || candidates.includes(turns.pick(candidates) ?? "")).toBe(true);
      }
      for (const waiting of names) {
        const bound = names.length * Math.ceil(sum(weights) / (weights[waiting] ?? 1)) + names.length;
        const run = Array.from({ length: bound }, () => turns.pick(names));
        expect(run).toContain(waiting);
      }
    }),
  );
});

test("property: over any run in which the same queues have work, nobody is more than two rounds' worth off its share", () => {
  assert(
    property(weightsArbitrary, array(integer({ min: 1, max: 15 }), { maxLength: 50 }), (weights, past) => {
      const names = Object.keys(weights);
      const turns = createTurns(weights);
      for (const mask of past) turns.pick(names.filter((_, index) => (mask & (1 << index)) !== 0));
      const whole = sum(weights);
      const rounds = 20;
      const run = Array.from({ length: whole * rounds }, () => turns.pick(names) ?? "");
      for (const [queue, weight] of Object.entries(weights))
        expect(Math.abs(countOf(run, queue) - weight * rounds)).toBeLessThanOrEqual(2 * names.length);
    }),
  );
});
