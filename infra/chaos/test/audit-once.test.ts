import { expect, test } from "vitest";
import { auditDoubled, auditInvented, auditLost, auditTransactions } from "../src/audit/once.ts";
import { attempt, effect, promised } from "./audit-fixture.ts";

const kinds = { loose: "loose", unique: ["single"] };
const whats = (findings: readonly { readonly rule: string; readonly what: string }[]) =>
  findings.map(({ rule, what }) => `${rule}: ${what}`);

test("what was promised and done is not lost", () => {
  expect(auditLost([promised("exact", 1)], [effect("exact", 1)], [], kinds)).toEqual([]);
  expect(auditLost([promised("loose", 1)], [], [attempt("loose", 1)], kinds)).toEqual([]);
});

test("an acknowledged job without an effect is lost, even if an attempt of it says that it was done", () => {
  expect(whats(auditLost([promised("exact", 1)], [effect("exact", 2)], [attempt("exact", 1)], kinds))).toEqual([
    "lost: exact 1 was promised and never done",
  ]);
});

test("a job that ends by returning is lost when no attempt of it was done", () => {
  const attempts = [attempt("loose", 1, { ending: "failed" }), attempt("loose", 2, { ending: "cut" })];
  expect(auditLost([promised("loose", 1), promised("loose", 2)], [], attempts, kinds)).toHaveLength(2);
});

test("a job whose enqueue was never answered may be there or not", () => {
  expect(auditLost([promised("exact", 1, { answer: "unknown" })], [], [], kinds)).toEqual([]);
});

test("a second effect is found by its number, and by its job", () => {
  const once = [
    effect("exact", 1),
    effect("exact", 2),
    effect("step", 1, { key: "a" }),
    effect("step", 1, { key: "b", job: "other" }),
  ];
  expect(auditDoubled(once)).toEqual([]);
  expect(whats(auditDoubled([...once, effect("exact", 1, { job: "another" })]))).toEqual([
    "doubled: exact 1  had its effect 2 times",
  ]);
  expect(whats(auditDoubled([...once, effect("exact", 3, { job: "job-exact-2" })]))).toEqual([
    "doubled: exact job-exact-2 took effect as a job 2 times",
  ]);
});

test("an effect that nobody asked for is found", () => {
  expect(auditInvented([effect("exact", 1)], [promised("exact", 1, { answer: "unknown" })])).toEqual([]);
  expect(whats(auditInvented([effect("exact", 2)], [promised("exact", 1)]))).toEqual([
    "invented: exact 2 was never asked for",
  ]);
});

test.for([
  { when: "both are there", answer: "acked", orders: [1], ran: [1], findings: 0 },
  { when: "neither is there and nothing was promised", answer: "unknown", orders: [], ran: [], findings: 0 },
  { when: "both are there though no answer came", answer: "unknown", orders: [1], ran: [1], findings: 0 },
  { when: "the job is missing", answer: "acked", orders: [1], ran: [], findings: 1 },
  { when: "the job is missing and no answer came", answer: "unknown", orders: [1], ran: [], findings: 1 },
  { when: "the row is missing", answer: "unknown", orders: [], ran: [1], findings: 1 },
  { when: "a commit that was answered left nothing", answer: "acked", orders: [], ran: [], findings: 1 },
] as const)("of a row and a job of one transaction: $when", ({ answer, orders, ran, findings }) => {
  const effects = ran.map((number) => effect("joined", number));
  expect(auditTransactions([promised("joined", 1, { answer })], orders, effects, "joined")).toHaveLength(findings);
});
