import { expect, test } from "vitest";
import { countRun } from "../src/test-stages.ts";

test.for([
  { when: "all passed", code: 0, report: { numPassedTests: 3, numFailedTests: 0 }, counts: { passed: 3, failed: 0 } },
  { when: "some failed", code: 1, report: { numPassedTests: 3, numFailedTests: 2 }, counts: { passed: 3, failed: 2 } },
  {
    when: "a file did not load",
    code: 1,
    report: { numPassedTests: 3, numFailedTests: 0 },
    counts: { passed: 3, failed: 1 },
  },
  {
    when: "there was no test",
    code: 0,
    report: { numPassedTests: 0, numFailedTests: 0 },
    counts: { passed: 0, failed: 1 },
  },
  { when: "it crashed before its report", code: null, report: undefined, counts: { passed: 0, failed: 1 } },
])("when $when, a run counts $counts.passed passed and $counts.failed failed", ({ code, report, counts }) => {
  expect(countRun(code, report === undefined ? undefined : JSON.stringify(report))).toEqual(counts);
});
