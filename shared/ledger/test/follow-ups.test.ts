import { expect, test } from "vitest";
import { createFollowUps, type FinishedJob } from "../src/follow-ups.ts";

const row = {
  id: "1",
  queue: "q",
  name: "n",
  linked: true,
  flow_id: null,
  unique_key: "u",
  state: "dead",
  reason: "R",
};
const noSql = (): Promise<never> => Promise.reject(new Error("no statement was expected"));

test("follow-ups are asked in order, once, about linked jobs only", async () => {
  const seen: [string, readonly FinishedJob[]][] = [];
  const followUp = (name: string) => ({
    finished: async (_: unknown, jobs: readonly FinishedJob[]) => void seen.push([name, jobs]),
  });
  const followUps = createFollowUps([followUp("a"), followUp("b")], () => undefined);
  const job = { id: "1", queue: "q", name: "n", state: "dead", reason: "R", flowId: undefined, uniqueKey: "u" };
  expect(await followUps.finished(noSql, [row, { ...row, id: "2", linked: false }])).toEqual([job]);
  expect(seen).toEqual([
    ["a", [job]],
    ["b", [job]],
  ]);
  expect(await followUps.finished(noSql, [{ ...row, linked: false }])).toEqual([]);
  expect(seen).toHaveLength(2);
});

test("a follow-up that fails after the commit is reported, and the next one still runs", async () => {
  const errors: unknown[] = [];
  let ran = 0;
  const followUps = createFollowUps(
    [
      { finished: async () => undefined, committed: () => Promise.reject(new Error("gone")) },
      { finished: async () => undefined, committed: async () => void (ran += 1) },
    ],
    (error) => errors.push(error),
  );
  await followUps.committed(await followUps.finished(noSql, [row]));
  expect(errors).toEqual([new Error("gone")]);
  expect(ran).toBe(1);
});
