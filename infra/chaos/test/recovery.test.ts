import { expect, test } from "vitest";
import { perSecond, recoveriesOf } from "../src/recovery.ts";
import { attempt } from "./audit-fixture.ts";

const starts = (...moments: readonly number[]) =>
  moments.map((startMs, number) => attempt("exact", number, { startMs, endMs: startMs + 1 }));

test("a standstill is the longest time without a beginning, outages of servers left out", () => {
  const worker = { target: "worker-1", action: "kill", beganMs: 1_000, overMs: 2_000, pid: 9 } as const;
  const broker = { target: "broker", action: "kill", beganMs: 4_000, overMs: 9_000 } as const;
  const attempts = starts(900, 1_400, 3_000, 9_700, 9_800);
  expect(recoveriesOf([worker, broker], attempts)).toEqual([
    { fault: "worker-1 kill", standstillMs: 1_700, goesOnMs: 1_000, takenOverMs: undefined },
    { fault: "broker kill", standstillMs: 700, goesOnMs: 700, takenOverMs: undefined },
  ]);
});

test("what a kill cut off is taken over when its job begins again", () => {
  const fault = { target: "worker-1", action: "kill", beganMs: 150, overMs: 2_000, pid: 9 } as const;
  const attempts = [
    attempt("exact", 1, { pid: 9, startMs: 100, endMs: 151, ending: "cut" }),
    attempt("exact", 1, { pid: 8, startMs: 16_151, endMs: 16_200, fence: 2 }),
  ];
  expect(recoveriesOf([fault], attempts)[0]?.takenOverMs).toBe(16_000);
});

test("moments are counted by seconds", () => {
  expect(perSecond([10, 2_100, 990, -5])).toEqual([3, 0, 1]);
});
