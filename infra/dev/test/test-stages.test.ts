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
  expect(countRun(code, report === undefined ? undefined : JSON.stringify(report))).toMatchObject(counts);
});

test("what failed is named with its file and reason, also a file that did not load, and a run that names nothing", () => {
  const file = new URL("../../../shared/x.test.ts", import.meta.url).pathname;
  const assertionResults = [
    { status: "passed", fullName: "a" },
    { status: "failed", fullName: "b works", failureMessages: ["Error: no\n  at x"] },
    {
      status: "failed",
      fullName: "c holds",
      failureMessages: [
        'Error: Property failed after 8 tests\n{ seed: 5, path: "7" }\nCounterexample: [-Infinity]\nmore',
      ],
    },
  ];
  const testResults = [
    { name: file, status: "failed", assertionResults },
    { name: file, status: "failed", message: "SyntaxError: oh\nmore", assertionResults: [] },
  ];
  expect(countRun(1, JSON.stringify({ numPassedTests: 1, numFailedTests: 1, testResults })).failures).toEqual([
    "shared/x.test.ts: b works: Error: no",
    'shared/x.test.ts: c holds: Error: Property failed after 8 tests { seed: 5, path: "7" } Counterexample: [-Infinity]',
    "shared/x.test.ts: SyntaxError: oh",
  ]);
  expect(countRun(null, undefined).failures).toEqual(["vitest ended with exit code null and names no failed test"]);
});
