import { expect, test } from "vitest";
import { auditFlows } from "../src/audit/flows.ts";
import type { PromisedFlow } from "../src/promises.ts";
import { attempt, effect } from "./audit-fixture.ts";

const kinds = { step: "step", undo: "undo", ended: "ended" };
const flow = (more: Partial<PromisedFlow> = {}): PromisedFlow => ({
  number: 1,
  answer: "acked",
  fatal: undefined,
  cancelled: false,
  ...more,
});
const failing = flow({ fatal: "ship" });
const steps = (...nodes: readonly string[]) => nodes.map((key) => effect("step", 1, { key, job: `s-${key}` }));
const undos = (...nodes: readonly string[]) => nodes.map((key) => effect("undo", 1, { key, job: `u-${key}` }));
const end = (key: string) => effect("ended", 1, { key, job: "end" });
const all = ["reserve", "charge", "pick", "ship"];

/** Effects are numbered in the order in which they are listed. */
const look = (what: PromisedFlow, ...effects: ReturnType<typeof effect>[][]) =>
  auditFlows(
    [what],
    effects.flat().map((one, position) => ({ ...one, position })),
    [],
    kinds,
  ).map((one) => one.what.replace("flow 1: ", ""));

test.for([
  { name: "it succeeds", what: flow(), effects: [steps(...all), [end("succeeded")]] },
  {
    name: "it is undone in reverse order",
    what: failing,
    effects: [steps("reserve", "charge", "pick"), undos("pick", "charge", "reserve"), [end("compensated")]],
  },
  {
    name: "nodes beside each other are undone in either order",
    what: failing,
    effects: [steps("reserve", "charge", "pick"), undos("charge", "pick", "reserve"), [end("compensated")]],
  },
  { name: "it fails with nothing to undo", what: flow({ fatal: "reserve" }), effects: [[end("failed")]] },
  { name: "it is cancelled before anything was done", what: flow({ cancelled: true }), effects: [[end("cancelled")]] },
  { name: "it is cancelled too late", what: flow({ cancelled: true }), effects: [steps(...all), [end("succeeded")]] },
  { name: "it was never started, as far as one knows", what: flow({ answer: "unknown" }), effects: [] },
])("a flow is as it should be when $name", ({ what, effects }) => {
  expect(look(what, ...effects)).toEqual([]);
});

test.for([
  { what: flow(), effects: [steps(...all)], says: "it told its end 0 times" },
  { what: flow(), effects: [], says: "it told its end 0 times" },
  { what: flow(), effects: [steps(...all), [end("succeeded"), end("succeeded")]], says: "it told its end 2 times" },
  { what: flow(), effects: [steps("reserve"), [end("succeeded")]], says: "it succeeded, and not all of it was done" },
  {
    what: failing,
    effects: [steps("reserve", "charge", "pick"), [end("succeeded")]],
    says: "it succeeded, and ship cannot",
  },
  {
    what: failing,
    effects: [steps(...all), [end("failed")]],
    says: "it failed, and reserve, charge, pick, ship was not undone",
  },
  {
    what: flow(),
    effects: [steps("reserve"), undos("reserve"), [end("compensated")]],
    says: "it was undone, and nothing had failed",
  },
  { what: flow(), effects: [[end("failed")]], says: "it failed, and nothing of it could" },
  { what: flow(), effects: [[end("cancelled")]], says: "it was cancelled, and nobody asked for that" },
  {
    what: flow({ cancelled: true }),
    effects: [steps("reserve"), [end("cancelled")]],
    says: "it was cancelled, and what was done was not undone",
  },
  {
    what: failing,
    effects: [steps("reserve"), undos("reserve"), [end("compensation_failed")]],
    says: "it ended as compensation_failed",
  },
  {
    what: failing,
    effects: [steps("reserve", "charge"), undos("reserve"), [end("compensated")]],
    says: "charge was done 1 times and undone 0 times",
  },
  {
    what: failing,
    effects: [steps("reserve"), undos("reserve", "reserve"), [end("compensated")]],
    says: "reserve was done 1 times and undone 2 times",
  },
  {
    what: failing,
    effects: [steps("reserve"), undos("reserve", "pick"), [end("compensated")]],
    says: "pick was done 0 times and undone 1 times",
  },
  {
    what: failing,
    effects: [steps("reserve", "charge"), undos("reserve", "charge"), [end("compensated")]],
    says: "reserve was done before charge and undone before it",
  },
  {
    what: failing,
    effects: [steps("reserve"), undos("reserve"), steps("charge"), [end("compensated")]],
    says: "something was done after the undoing had begun",
  },
  {
    what: flow(),
    effects: [steps("charge", "reserve", "pick", "ship"), [end("succeeded")]],
    says: "charge was done before reserve",
  },
])("it is found that $says", ({ what, effects, says }) => {
  expect(look(what, ...effects)).toContain(says);
});

test("nodes beside each other of which one was done before the other began are undone in reverse order", () => {
  const effects = [
    ...steps("reserve", "charge", "pick"),
    ...undos("charge", "pick", "reserve"),
    end("compensated"),
  ].map((one, position) => ({ ...one, position }));
  const attempts = [
    attempt("step", 1, { key: "charge", startMs: 0, endMs: 10 }),
    attempt("step", 1, { key: "pick", startMs: 20, endMs: 30 }),
  ];
  const [finding] = auditFlows([failing], effects, attempts, kinds);
  expect(finding?.what).toBe("flow 1: charge was done before pick and undone before it");
});
