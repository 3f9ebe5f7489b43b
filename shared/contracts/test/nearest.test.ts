import { expect, test } from "vitest";
import { nearest } from "../src/index.ts";

test.for<{ word: string; among: readonly string[]; near: string | undefined }>([
  { word: "atempts", among: ["attempts", "timeoutMs"], near: "attempts" },
  { word: "delay", among: ["id", "delayMs", "at"], near: "delayMs" },
  { word: "DELAYms", among: ["delayMs"], near: "delayMs" },
  { word: "Europe/Berln", among: ["Atlantic/Bermuda", "Europe/Dublin", "Europe/Berlin"], near: "Europe/Berlin" },
  { word: "zzz", among: ["attempts", "timeoutMs"], near: undefined },
  { word: "b", among: ["a"], near: undefined },
  { word: "id", among: ["at"], near: undefined },
])("the nearest to $word is $near", ({ word, among, near }) => {
  expect(nearest(word, among)).toBe(near);
});
