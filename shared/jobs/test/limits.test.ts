import { expect, test } from "vitest";
import { createLimits, type QueueControl } from "../src/limits.ts";

/** A ledger that answers what it was asked. */
const ledger = {
  limits: new Proxy(
    {},
    {
      get:
        (_, method) =>
        (...given: unknown[]) =>
          Promise.resolve([method, ...given]),
    },
  ),
};
const limits = createLimits({ ledger: ledger as Parameters<typeof createLimits>[0]["ledger"] });

test.for<{ rate: unknown; means: unknown }>([
  { rate: "10/m", means: { limit: 10, perMs: 60_000, burst: 10 } },
  { rate: " 100 / 10s ", means: { limit: 100, perMs: 10_000, burst: 100 } },
  { rate: "5/250ms", means: { limit: 5, perMs: 250, burst: 5 } },
  { rate: "1/d", means: { limit: 1, perMs: 86_400_000, burst: 1 } },
  { rate: { limit: 3, perMs: 1_000 }, means: { limit: 3, perMs: 1_000, burst: 3 } },
  { rate: { limit: 3, perMs: 1_000, burst: 1 }, means: { limit: 3, perMs: 1_000, burst: 1 } },
])("a rate of $rate is understood", async ({ rate, means }) => {
  expect(await limits.set("mails", { rate: rate as string })).toEqual(["change", "mails", { rate: means }]);
});

test("what is not named stays, null removes, false switches off", async () => {
  const change = { concurrency: null, order: "strict", fairness: false, priority: true } as const;
  expect(await limits.set("mails", change)).toEqual([
    "change",
    "mails",
    { concurrency: null, order: "strict", fairness: null, priority: true },
  ]);
});

const wrong: readonly {
  what: string;
  call: (limits: QueueControl) => Promise<unknown>;
  code?: string;
  path: string;
  says: string;
}[] = [
  { what: "a unit that is none", call: (l) => l.set("q", { rate: "10/x" }), path: "rate", says: '"10/m"' },
  { what: "a rate of nothing", call: (l) => l.set("q", { rate: "0/s" }), path: "rate", says: 'got "0/s"' },
  { what: "a span of nothing", call: (l) => l.set("q", { rate: "1/0s" }), path: "rate", says: 'got "1/0s"' },
  { what: "a negative rate", call: (l) => l.set("q", { rate: "-1/s" }), path: "rate", says: 'got "-1/s"' },
  { what: "a number for a rate", call: (l) => l.set("q", { rate: 5 as never }), path: "rate", says: "a rate such as" },
  {
    what: "NaN in a rate",
    call: (l) => l.set("q", { rate: { limit: Number.NaN, perMs: 1 } }),
    path: "rate",
    says: "a rate such as",
  },
  {
    what: "a burst of 0",
    call: (l) => l.set("q", { rate: { limit: 1, perMs: 1, burst: 0 } }),
    path: "rate",
    says: "a rate such as",
  },
  {
    what: "an unknown part of a rate",
    call: (l) => l.set("q", { rate: { limit: 1, perMs: 1, brust: 2 } as never }),
    path: "rate",
    says: "a rate such as",
  },
  { what: "a concurrency of 0", call: (l) => l.set("q", { concurrency: 0 }), path: "concurrency", says: ">=1" },
  { what: "half a job", call: (l) => l.set("q", { keyConcurrency: 1.5 }), path: "keyConcurrency", says: "int" },
  { what: "NaN jobs", call: (l) => l.set("q", { concurrency: Number.NaN }), path: "concurrency", says: "number" },
  {
    what: "a misspelt option",
    call: (l) => l.set("q", { concurency: 1 } as never),
    code: "JOB_OPTION_UNKNOWN",
    path: "concurency",
    says: 'did you mean "concurrency"?',
  },
  { what: "another order", call: (l) => l.set("q", { order: "loose" as never }), path: "order", says: "strict" },
  { what: "a queue name with a blank", call: (l) => l.set("a b", {}), path: "queue", says: "letters, digits" },
  { what: "a key that is too long", call: (l) => l.setKey("q", "x".repeat(201), {}), path: "key", says: "200" },
  { what: "an empty key", call: (l) => l.pause("q", { key: "" }), path: "key", says: ">=1" },
  {
    what: "a job and a key at once",
    call: (l) => l.pause("q", { job: "a", key: "b" }),
    path: "key",
    says: "not both",
  },
  { what: "a priority of -1", call: (l) => l.changePriority(crypto.randomUUID(), -1), path: "priority", says: ">=0" },
  { what: "an id that is none", call: (l) => l.changePriority("x", 1), path: "jobId", says: "UUID" },
];

test.for(wrong)("$what is refused, with the path and what was expected", async ({ call, code, path, says }) => {
  await expect(call(limits)).rejects.toMatchObject({
    code: code ?? "JOB_OPTION_INVALID",
    details: { path },
    message: expect.stringContaining(says) as string,
  });
});

test("declarations are checked before any is written", async () => {
  const asked: string[] = [];
  const watched = createLimits({
    ledger: {
      limits: new Proxy({}, { get: (_, method) => () => Promise.resolve(asked.push(String(method))) }),
    } as Parameters<typeof createLimits>[0]["ledger"],
  });
  await expect(watched.declare({ good: { concurrency: 1 }, bad: { rate: "x" } })).rejects.toMatchObject({
    code: "JOB_OPTION_INVALID",
  });
  expect(asked).toEqual([]);
});
