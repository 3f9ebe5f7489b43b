import { expect, test } from "vitest";
import { type RecycleLimits, recycleReason, spreadLimits } from "../src/worker/recycle.ts";

const facts = { jobs: 100, rssBytes: 1_000_000, ageMs: 60_000 };

test.for<{ limits: RecycleLimits; limit: string | undefined }>([
  { limits: {}, limit: undefined },
  { limits: { afterJobs: 101 }, limit: undefined },
  { limits: { afterJobs: 100 }, limit: "afterJobs" },
  { limits: { aboveRssBytes: 1_000_000 }, limit: undefined },
  { limits: { aboveRssBytes: 999_999 }, limit: "aboveRssBytes" },
  { limits: { afterMs: 60_001 }, limit: undefined },
  { limits: { afterMs: 60_000 }, limit: "afterMs" },
])("$limits are crossed by $limit", ({ limits, limit }) => {
  expect(recycleReason(limits, facts)?.limit).toBe(limit);
});

test("workers that were started together do not leave together, and none later than it was told", () => {
  const limits = { afterJobs: 1_000, aboveRssBytes: 5, afterMs: 100 };
  expect(spreadLimits(limits, () => 0)).toEqual(limits);
  expect(spreadLimits(limits, () => 1)).toEqual({ afterJobs: 900, aboveRssBytes: 5, afterMs: 90 });
  expect(spreadLimits({ afterJobs: 1 }, () => 1).afterJobs).toBe(1);
});
