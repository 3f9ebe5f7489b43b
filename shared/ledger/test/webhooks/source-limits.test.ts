import { expect, test } from "vitest";
import type { Row } from "../../src/postgres/database.ts";
import { createSourceLimits } from "../../src/webhooks/source-limits.ts";

const rate = { perSecond: 2, burst: 3 };

/** A database with one bucket that does not fill. */
function fakeLedger(tokens: number) {
  const asked: { readonly sources: unknown; readonly wants: unknown }[] = [];
  const ledger = {
    table: (name: string) => name,
    run: (_statement: unknown, [sources, wants]: readonly unknown[]): Promise<readonly Row[]> => {
      asked.push({ sources, wants });
      return Promise.resolve(
        (sources as readonly string[]).map((source, at) => {
          const granted = Math.min(tokens, (wants as readonly number[])[at] ?? 0);
          tokens -= granted;
          return { source, granted, empty_ms: 500 };
        }),
      );
    },
  };
  return { asked, ledger };
}

test("calls of one moment share a statement, and while a bucket is known to be empty none is said", async () => {
  const { asked, ledger } = fakeLedger(3);
  let nowMs = 1_000;
  const limits = createSourceLimits({ ledger, now: () => nowMs });
  const takes = Array.from({ length: 50 }, () => limits.take("a", rate));
  const waits = await Promise.all(takes);
  expect(waits.filter((ms) => ms === 0)).toHaveLength(3);
  expect(new Set(waits)).toEqual(new Set([0, 500]));
  expect(asked).toEqual([{ sources: ["a"], wants: [50] }]);

  nowMs += 499;
  expect(await Promise.all([limits.take("a", rate), limits.take("a", rate)])).toEqual([1, 1]);
  expect(asked).toHaveLength(1);
  nowMs += 1;
  expect(await limits.take("a", rate)).toBe(500);
  expect(asked).toHaveLength(2);
});

test("a changed rate is asked for at once, and one source's empty bucket is no other's", async () => {
  const { asked, ledger } = fakeLedger(0);
  const limits = createSourceLimits({ ledger, now: () => 1_000 });
  await limits.take("a", rate);
  await Promise.all([limits.take("a", { perSecond: 9, burst: 3 }), limits.take("b", rate)]);
  expect(asked.at(-1)).toEqual({ sources: ["a", "b"], wants: [1, 1] });
});

test("a database that swallows the question is an outage, not a refusal", async () => {
  const never = { table: (name: string) => name, run: () => new Promise<never>(() => undefined) };
  const limits = createSourceLimits({ ledger: never, deadlineMs: 5 });
  await expect(limits.take("a", rate)).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE", retryable: true });
});
