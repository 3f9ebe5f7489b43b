import { type ClaimedJob, type ConfirmedClaims, LedgerUnavailableError, type Settled } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createEarlyClaims } from "../src/worker/early-claims.ts";
import type { Waiting } from "../src/worker/inbox.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const message = { queue: "q" } as Waiting;
const claimed = { id: "a", attempt: 1, payload: {} } as ClaimedJob;
const settlement = { id: "a", attempt: 1, workerId: "w", outcome: { kind: "succeeded", result: 1 } } as const;
const kept: ConfirmedClaims = { alive: true, kept: new Set([claimed]) };
const notKept: ConfirmedClaims = { alive: true, kept: new Set() };

/** Early claims over a ledger whose answers a test gives one by one, with one claim under way. */
function openClaims(answers: {
  settle?: readonly Settled[];
  confirm?: readonly (ConfirmedClaims | Error | Promise<ConfirmedClaims>)[];
}) {
  const fate: string[] = [];
  const asked = { settle: 0, confirm: 0 };
  const settles = (answers.settle ?? []).map((answer) => ({ answer, ...Promise.withResolvers<void>() }));
  const claims = createEarlyClaims({
    ledger: {
      confirmClaims: async () => {
        const answer = answers.confirm?.[asked.confirm++];
        if (answer === undefined || answer instanceof Error) throw answer ?? new Error("nobody expected this look");
        return answer;
      },
    },
    settler: {
      pending: 0,
      dispose: () => undefined,
      settle: async () => {
        const { answer, promise } = settles[asked.settle++]!;
        await promise;
        return answer;
      },
    },
    inbox: { proved: () => void fate.push("proved"), again: (_message, id) => void fate.push(`again ${id}`) },
    arrived: () => undefined,
    log: createLogger({ service: "test", level: "silent" }),
  });
  expect(claims.begin(claimed, "w", message)).toBe(true);
  return { claims, fate, asked, answerSettle: (index: number) => settles[index]!.resolve() };
}

const looks = (count: number) => vi.advanceTimersByTimeAsync(count * 125);

test("the settlement proves a claim: its message waits for that, and nobody looks", async () => {
  const { claims, fate, asked, answerSettle } = openClaims({ settle: ["applied"] });
  const settled = claims.settle(settlement);
  await looks(10);
  expect(fate).toEqual([]);
  answerSettle(0);
  expect(await settled).toBe("applied");
  expect([fate, asked]).toEqual([["proved"], { settle: 1, confirm: 0 }]);
});

test("a job that runs longer than a quarter of a second is looked at once, however often Postgres is away, and settles as any other", async () => {
  const away = new LedgerUnavailableError("away");
  const { claims, fate, asked, answerSettle } = openClaims({ confirm: [away, away, kept], settle: ["applied"] });
  await looks(1);
  expect(asked.confirm).toBe(0);
  await looks(2);
  expect([asked.confirm, fate]).toEqual([2, []]);
  await looks(20);
  expect([asked.confirm, fate]).toEqual([3, ["proved"]]);
  answerSettle(0);
  expect(await claims.settle(settlement)).toBe("applied");
  expect(fate).toEqual(["proved"]);
});

test("a claim that was forgotten is made again when its settlement is refused, and the job is settled without another run", async () => {
  const { claims, fate, asked, answerSettle } = openClaims({
    confirm: [new LedgerUnavailableError("recovers"), kept],
    settle: ["fenced", "applied"],
  });
  answerSettle(0);
  answerSettle(1);
  const settled = claims.settle(settlement);
  await looks(1);
  expect(await settled).toBe("applied");
  expect([fate, asked]).toEqual([["proved"], { settle: 2, confirm: 2 }]);
});

test("a claim that somebody else has by now stays fenced, and its message goes", async () => {
  const { claims, fate, asked, answerSettle } = openClaims({ confirm: [notKept], settle: ["fenced"] });
  answerSettle(0);
  expect(await claims.settle(settlement)).toBe("fenced");
  expect([fate, asked]).toEqual([["proved"], { settle: 1, confirm: 1 }]);
});

test("while the settlement is under way, a look that misses the job proves nothing", async () => {
  const { promise: answer, resolve } = Promise.withResolvers<ConfirmedClaims>();
  const { claims, fate, asked, answerSettle } = openClaims({ confirm: [answer, kept], settle: ["fenced", "applied"] });
  const looking = claims.look();
  await looks(1);
  expect(asked.confirm).toBe(1);
  const settled = claims.settle(settlement);
  resolve(notKept);
  await looking;
  expect(fate).toEqual([]);
  answerSettle(0);
  answerSettle(1);
  expect(await settled).toBe("applied");
  expect(fate).toEqual(["proved"]);
});

test("when the lease is over, the job is asked for again under the new id", async () => {
  const { fate } = openClaims({ confirm: [{ alive: false }] });
  await looks(3);
  expect(fate).toEqual(["again a"]);
});

test("a job that another message brings again while it runs here does not run twice, and that message goes", async () => {
  const { claims, fate, answerSettle } = openClaims({ settle: ["applied"] });
  expect(claims.begin(claimed, "w", { queue: "q" } as Waiting)).toBe(false);
  expect(claims.begin(claimed, "w", undefined)).toBe(false);
  expect(fate).toEqual(["proved"]);
  answerSettle(0);
  await claims.settle(settlement);
  expect(fate).toEqual(["proved", "proved"]);
});

test("let go, it stops waiting: a refused settlement is abandoned, and the message is left to the broker", async () => {
  const { claims, fate, answerSettle } = openClaims({ confirm: [], settle: ["fenced"] });
  answerSettle(0);
  const settled = claims.settle(settlement);
  claims[Symbol.dispose]();
  expect(await settled).toBe("abandoned");
  expect(fate).toEqual([]);
});
