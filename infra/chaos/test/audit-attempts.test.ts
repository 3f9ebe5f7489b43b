import { expect, test } from "vitest";
import { attemptsOf } from "../src/audit/attempts.ts";
import { move, note } from "./audit-fixture.ts";

const summary = (attempts: ReturnType<typeof attemptsOf>) =>
  attempts.map(({ number, startMs, endMs, ending }) => ({ number, startMs, endMs, ending }));

test("an attempt lasts from its start to its end", () => {
  const notes = [note("start", 1, 100), note("end", 1, 180, { outcome: "failed" })];
  expect(summary(attemptsOf(notes, [], [move("left", 1, 190)], []))).toEqual([
    { number: 1, startMs: 100, endMs: 180, ending: "failed" },
  ]);
});

test("a handler that was cut off lasted until its process was gone, not until its lease was over", () => {
  expect(
    summary(attemptsOf([note("start", 1, 100)], [{ pid: 1, monoMs: 150 }], [move("left", 1, 15_000)], [])),
  ).toEqual([{ number: 1, startMs: 100, endMs: 150, ending: "cut" }]);
});

test("a transactional handler ends with its commit, however late it notes that", () => {
  const notes = [note("start", 1, 100), note("end", 1, 900, { outcome: "done" })];
  expect(summary(attemptsOf(notes, [], [move("left", 1, 180)], []))).toEqual([
    { number: 1, startMs: 100, endMs: 180, ending: "done" },
  ]);
});

test("one that was killed after its commit is done", () => {
  const effects = [{ kind: "k", job: "job-1", fence: 1 }];
  const [attempt] = attemptsOf([note("start", 1, 100)], [{ pid: 1, monoMs: 300 }], [move("left", 1, 180)], effects);
  expect(attempt).toMatchObject({ ending: "done", endMs: 180, doneWallMs: undefined });
});

test("a suspended worker's handler counts until the job was taken from it", () => {
  const notes = [note("start", 1, 100), note("end", 1, 30_000, { outcome: "stopped" })];
  expect(summary(attemptsOf(notes, [], [move("left", 1, 16_000)], []))).toEqual([
    { number: 1, startMs: 100, endMs: 16_000, ending: "overrun" },
  ]);
});

test("a handler that began when its job was another's already has no length", () => {
  const notes = [note("start", 1, 20_000), note("end", 1, 20_050, { outcome: "stopped" })];
  expect(summary(attemptsOf(notes, [], [move("left", 1, 16_000)], []))).toEqual([
    { number: 1, startMs: 20_000, endMs: 20_000, ending: "overrun" },
  ]);
});

test("attempts of one job are told apart by fence and process", () => {
  const notes = [
    note("start", 1, 100),
    note("start", 1, 200, { fence: 2, pid: 2 }),
    note("end", 1, 250, { fence: 2, pid: 2, outcome: "done" }),
  ];
  const attempts = attemptsOf(notes, [{ pid: 1, monoMs: 150 }], [move("left", 1, 245, { fence: 2 })], []);
  expect(attempts.map(({ fence, ending, endMs }) => [fence, ending, endMs])).toEqual([
    [1, "cut", 150],
    [2, "done", 245],
  ]);
});
