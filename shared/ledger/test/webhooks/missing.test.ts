import type { EventJob, NewJob } from "@warren/ledger";
import { describe, expect, test } from "vitest";
import { missingOf } from "../../src/webhooks/missing.ts";
import { aJob } from "../support/ledger-world.ts";

const job = (id: string, name?: string): EventJob => ({
  id,
  known:
    name === undefined
      ? undefined
      : { name, queue: "q", state: "succeeded", attempt: 1, isDiscarded: false, finishedAt: undefined },
});
const wanted = (...names: readonly string[]): readonly NewJob[] => names.map((name) => aJob({ name }));
const namesOf = (routed: ReturnType<typeof missingOf>) =>
  routed === "unknown" ? routed : routed.jobs.map(({ name }) => name);

describe("what an event lacks", () => {
  test("is nothing where jobs of these names are there, whatever rule makes them today", () => {
    const routes = [{ rule: "new name", made: "job", job: 0 }] as const;
    expect(namesOf(missingOf({ jobs: wanted("mail"), routes }, [job("1", "mail")], []))).toEqual([]);
  });

  test("is counted: two of a name where one is there leaves one", () => {
    expect(namesOf(missingOf({ jobs: wanted("mail", "mail", "push") }, [job("1", "mail")], []))).toEqual([
      "mail",
      "push",
    ]);
  });

  test("is what a rule failed to make before, and not what another made", () => {
    const kept = [
      { rule: "a", failed: { code: "X", message: "x" } },
      { rule: "b", made: "delivery", id: "1" },
    ] as const;
    const routes = [
      { rule: "a", made: "delivery", job: 0 },
      { rule: "b", made: "delivery", job: 1 },
    ] as const;
    const missing = missingOf({ jobs: wanted("deliver", "deliver"), routes }, [job("1", "deliver")], kept);
    expect(missing).toMatchObject({ jobs: [{ name: "deliver" }], routes: [{ rule: "a", job: 0 }] });
  });

  test("keeps places of rules right when some of their jobs are left out", () => {
    const routes = [
      { rule: "a", made: "job", job: 0 },
      { rule: "b", made: "event", event: 0 },
      { rule: "c", made: "job", job: 1 },
    ] as const;
    const events = [{ eventId: "e", type: "t", headers: {}, body: "{}" }];
    const missing = missingOf({ jobs: wanted("x", "y"), events, routes }, [job("1", "x")], []);
    expect(missing).toEqual({
      present: [{ rule: "a", made: "job", id: "1" }],
      jobs: [expect.objectContaining({ name: "y" })],
      events,
      routes: [
        { rule: "b", made: "event", event: 0 },
        { rule: "c", made: "job", job: 0 },
      ],
    });
  });

  test("is unknown where a forgotten job could be what seems to be missing, unless a rule tells what it was", () => {
    expect(missingOf({ jobs: wanted("mail") }, [job("1")], [])).toBe("unknown");
    const routes = [{ rule: "a", made: "job", job: 0 }] as const;
    const kept = [{ rule: "a", made: "job", id: "1" }] as const;
    expect(namesOf(missingOf({ jobs: wanted("mail"), routes }, [job("1")], kept))).toEqual([]);
  });
});
