import { expect, test } from "vitest";
import { auditLatest, auditUnique } from "../src/audit/uniqueness.ts";
import { attempt, effect, promised } from "./audit-fixture.ts";

const key = "anna";
const asked = (number: number, more: object = {}) => promised("single", number, { key, ...more });
const ran = (number: number, more: object = {}) => attempt("single", number, { key, ...more });
const did = (number: number, more: object = {}) => effect("single", number, { key, ...more });
const whats = (findings: readonly { readonly what: string }[]) => findings.map(({ what }) => what);

// 1 is asked for at 90, acked at 95, runs from 100 to 150 and has its effect at 140
const first = { promised: [asked(1)], effects: [did(1, { atMs: 140 })], attempts: [ran(1)] };
const joined = asked(2, { job: "job-single-1", created: false, sentMs: 110, answeredMs: 120 });

test("a job, a call that was left to it, and a job after it are as they should be", () => {
  expect(
    auditUnique({
      promised: [...first.promised, joined, asked(3)],
      effects: [...first.effects, did(3)],
      attempts: [...first.attempts, ran(3)],
    }),
  ).toEqual([]);
});

test("two of a key that run at once are found", () => {
  const findings = auditUnique({
    promised: [...first.promised],
    effects: first.effects,
    attempts: [...first.attempts, ran(9, { startMs: 120, endMs: 160 })],
  });
  expect(whats(findings)).toEqual(["key anna: 2 ran at once"]);
});

test("a job that was made while another was unfinished is found, though they run one after the other", () => {
  const findings = auditUnique({
    promised: [...first.promised, asked(2, { sentMs: 100, answeredMs: 110 })],
    effects: [...first.effects, did(2, { atMs: 240 })],
    attempts: [...first.attempts, ran(2)],
  });
  expect(whats(findings)).toEqual(["key anna: job job-single-2 was made while job-single-1 was unfinished"]);
});

test("a call that was left to a job which had finished before is found: its work is lost", () => {
  const late = { ...joined, sentMs: 160, answeredMs: 170 };
  const findings = auditUnique({ ...first, promised: [...first.promised, late] });
  expect(whats(findings)).toEqual(["single 2 was left to a job that had finished before"]);
});

test("a job that an answer named and that never ran is found", () => {
  const findings = auditUnique({ ...first, effects: [] });
  expect(whats(findings)).toEqual(["single 1: job job-single-1 never ran to its end"]);
});

test("the latest state that was promised is worked on, or a newer one; else that is found", () => {
  const calls = [
    promised("latest", 1, { key }),
    promised("latest", 2, { key }),
    promised("latest", 3, { key, answer: "unknown" }),
  ];
  expect(auditLatest({ promised: calls, effects: [did(2)] })).toEqual([]);
  expect(auditLatest({ promised: calls, effects: [did(3)] })).toEqual([]);
  expect(whats(auditLatest({ promised: calls, effects: [did(1)] }))).toEqual([
    "key anna: the latest state 2 was never worked on",
  ]);
});
