import { describe, expect, test } from "vitest";
import type { KeyHolder } from "../../src/enqueue/unique-conflict.ts";
import { meet } from "../../src/enqueue/unique-conflict.ts";
import { groupsWithoutSharedKeys, roundsWithoutSharedKeys } from "../../src/enqueue/unique-rows.ts";

const waiting: KeyHolder = { state: "ready", started: false, until: "finished" };
const running: KeyHolder = { state: "running", started: true, until: "finished" };

test.for<{ holder: KeyHolder; when: string; answers: readonly [string, string, string, string] }>([
  { when: "waits", holder: waiting, answers: ["ignored", "replaced", "extended", "replaced"] },
  { when: "runs", holder: running, answers: ["ignored", "ignored", "ignored", "kept"] },
  { when: "retries", holder: { ...running, state: "retrying" }, answers: ["ignored", "ignored", "ignored", "kept"] },
  {
    when: "runs, and held the key until its start",
    holder: { ...running, until: "started" },
    answers: ["take_over", "take_over", "take_over", "take_over"],
  },
  {
    when: "has finished",
    holder: { ...running, state: "dead" },
    answers: ["take_over", "take_over", "take_over", "take_over"],
  },
  {
    when: "has finished, and its time is not over",
    holder: { ...running, state: "succeeded", until: "expired" },
    answers: ["ignored", "ignored", "ignored", "ignored"],
  },
  {
    when: "was dropped by history",
    holder: { state: null, started: true, until: "expired" },
    answers: ["take_over", "take_over", "take_over", "take_over"],
  },
])("when the holder $when, ignore, replace, extend and keep-last answer $answers", ({ holder, answers }) => {
  const policies = ["ignore", "replace", "extend", "keep-last"] as const;
  expect(policies.map((onConflict) => meet({ onConflict }, holder))).toEqual(answers);
});

const row = (key?: string) => ({
  job: {
    name: "n",
    ...(key === undefined ? {} : { unique: { key, until: "finished", onConflict: "ignore" } as const }),
  },
});

describe("a transaction names a key once", () => {
  test("calls that share a key go one after the other, the rest together", () => {
    const [ab, c, b, plain] = [[row("a"), row("b")], [row("c")], [row("b")], [row()]];
    expect(groupsWithoutSharedKeys([ab, c, b, plain])).toEqual([[ab, c, plain], [b]]);
  });

  test("a call that repeats a key travels alone, and its rows go in turns", () => {
    const [twice, other] = [[row("a"), row("a"), row()], [row("c")]];
    expect(groupsWithoutSharedKeys([twice, other])).toEqual([[twice], [other]]);
    expect(roundsWithoutSharedKeys(twice)).toEqual([[twice[0], twice[2]], [twice[1]]]);
  });
});
