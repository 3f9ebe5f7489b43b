import { type Observation, observe, type Watching } from "@warren/ledger";
import * as fc from "fast-check";
import { expect, test } from "vitest";

const seen = (atMs: number, beats: Readonly<Record<string, number>>): Observation => ({
  kind: "seen",
  atMs,
  beats: Object.entries(beats).map(([id, seq]) => ({ id, beatSeq: String(seq) })),
});

/** Feeds observations one after the other; says when who was expired. */
function watch(observations: readonly Observation[]): readonly (readonly string[])[] {
  let watching: Watching | undefined;
  return observations.map((observation) => {
    const answer = observe(watching, observation);
    watching = answer.watching;
    return answer.expired.map(({ id }) => id);
  });
}

const every = (fromMs: number, toMs: number, stepMs: number): number[] =>
  Array.from({ length: Math.floor((toMs - fromMs) / stepMs) + 1 }, (_, index) => fromMs + index * stepMs);

test("a worker whose beat does not change over a full lease is expired, and not before", () => {
  const times = every(0, 15_000, 1_000);
  const expired = watch(times.map((at) => seen(at, { silent: 7 })));
  expect(expired.slice(0, -1).flat()).toEqual([]);
  expect(expired.at(-1)).toEqual(["silent"]);
});

test("a worker that beats is never expired", () => {
  expect(watch(every(0, 60_000, 1_000).map((at) => seen(at, { living: Math.floor(at / 5_000) }))).flat()).toEqual([]);
});

test("after an outage of Postgres, however long, every worker gets a full lease again", () => {
  const before = every(0, 10_000, 1_000).map((at) => seen(at, { w: 3 }));
  const outage: Observation[] = every(11_000, 40_000, 1_000).map(() => ({ kind: "failed" }));
  const after = every(41_000, 55_000, 1_000).map((at) => seen(at, { w: 3 }));
  expect(watch([...before, ...outage, ...after]).flat()).toEqual([]);
  expect(watch([...before, ...outage, ...after, seen(56_000, { w: 3 })]).flat()).toEqual(["w"]);
});

test("a single failed observation starts every watch anew", () => {
  const times = every(0, 14_000, 1_000).map((at) => seen(at, { w: 1 }));
  expect(watch([...times, { kind: "failed" }, seen(15_500, { w: 1 }), seen(16_000, { w: 1 })]).flat()).toEqual([]);
});

test("an observer that was suspended itself has seen nothing meanwhile", () => {
  expect(watch([seen(0, { w: 1 }), seen(1_000, { w: 1 }), seen(100_000, { w: 1 })]).flat()).toEqual([]);
});

test("a worker that appears late is watched from then on", () => {
  const times = every(0, 20_000, 1_000).map((at) => seen(at, at < 10_000 ? {} : { late: 0 }));
  expect(watch(times).flat()).toEqual([]);
});

test("property: nobody is expired who has beaten, or was not watched without a break, within the last lease", () => {
  const step = fc.record({
    gapMs: fc.integer({ min: 1, max: 8_000 }),
    beats: fc.boolean(),
    fails: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let watching: Watching | undefined;
      let at = 0;
      let seq = 0;
      let quietSince: number | undefined;
      let lastSeen: number | undefined;
      for (const { gapMs, beats, fails } of steps) {
        at += gapMs;
        if (beats) seq += 1;
        const answer = observe(watching, fails && gapMs % 3 === 0 ? { kind: "failed" } : seen(at, { w: seq }));
        watching = answer.watching;
        const isBroken = watching === undefined || lastSeen === undefined || at - lastSeen > 5_000;
        if (beats || isBroken) quietSince = watching === undefined ? undefined : at;
        quietSince ??= watching === undefined ? undefined : at;
        lastSeen = watching === undefined ? undefined : at;
        const isOver = quietSince !== undefined && at - quietSince >= 15_000;
        expect(answer.expired.length).toBe(isOver ? 1 : 0);
      }
    }),
  );
});
