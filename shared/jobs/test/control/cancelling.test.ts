import { expect, test } from "vitest";
import type { Outcome } from "../../src/attempts/verdict.ts";
import { afterCancel } from "../../src/control/cancelling.ts";
import { JobAbortedError, Snoozed } from "../../src/errors.ts";

const cancelled = new JobAbortedError("JOB_CANCELLED", "cancelled", { reason: "why", by: "who" });
const own = new Error("own");
const gone = (error: unknown): Outcome => ({ kind: "cancelled", reason: "why", error });

test.for<{ when: string; outcome: Outcome; becomes: Outcome }>([
  { when: "it threw the reason of its signal", outcome: { kind: "threw", error: cancelled }, becomes: gone(undefined) },
  { when: "it snoozed", outcome: { kind: "threw", error: new Snoozed(1) }, becomes: gone(undefined) },
  { when: "it threw an error of its own", outcome: { kind: "threw", error: own }, becomes: gone(own) },
  { when: "the worker stops meanwhile", outcome: { kind: "stopping" }, becomes: gone(undefined) },
  { when: "it returned", outcome: { kind: "returned", result: 1 }, becomes: { kind: "returned", result: 1 } },
  { when: "it completed in a transaction", outcome: { kind: "completed" }, becomes: { kind: "completed" } },
])("after a cancel, when $when, the outcome is $becomes.kind", ({ outcome, becomes }) => {
  expect(afterCancel(outcome, cancelled)).toEqual(becomes);
});

test.for([undefined, new JobAbortedError("JOB_TIMEOUT", "late")])(
  "without a cancel an outcome stays as it is (%s)",
  (aborted) => {
    const outcome: Outcome = { kind: "threw", error: own };
    expect(afterCancel(outcome, aborted)).toBe(outcome);
  },
);
