import { afterAll, describe, expect, test } from "vitest";
import { auditCall, failureIn } from "./fuzz/api-audit.ts";
import { apiInputOf } from "./fuzz/api-inputs.ts";
import { audit, growth, type KeptRequest, leaksIn } from "./fuzz/audit.ts";
import type { Answer, Conversation } from "./fuzz/conversation.ts";
import { correlationIdOf, inputOf } from "./fuzz/inputs.ts";
import { nowMs, signing } from "./signed.ts";

const seed = 7;

// inputs are signed at the time of their making
afterAll(() => {
  signing.atMs = nowMs;
});

const correlationId = correlationIdOf(seed, 1);
const accepted: Answer = { status: 202, code: undefined, receipt: "accepted", correlationId };
const answered = (status: number, code?: string): Answer => ({ status, code, receipt: undefined, correlationId });
const row: KeptRequest = { correlationId, status: "accepted", source: "github", dedupeKey: "a" };

const mebibyte = 1_048_576;
const at = (mib: number) => ({ rss: 0, heapUsed: mib * mebibyte, external: 0 });
const resident = (mib: number) => ({ rss: mib * mebibyte, heapUsed: 0, external: 0 });
const rounds = (count: number, of: (round: number) => number) => Array.from({ length: count }, (_, round) => of(round));

function shape(from: number) {
  const { kind, source, ending, pieces } = inputOf(from, 5);
  return [kind, source, ending, pieces.length];
}

function kindsOf(from: number) {
  return Array.from({ length: 12 }, (_, number) => inputOf(from, number).kind);
}

function conversation(more: Partial<Conversation>, mustBeTaken = true): Conversation {
  const input = { number: 1, kind: "authentic", source: "github", pieces: [], ending: "wait", mustBeTaken } as const;
  return { input, answers: [accepted], lastedMs: 5, closed: true, refused: false, ...more };
}

function rules(conversations: readonly Conversation[], kept: readonly KeptRequest[]): readonly string[] {
  return audit({ seed, conversations, kept }).map(({ rule }) => rule);
}

test("what was taken and kept once breaks nothing", () => {
  expect(rules([conversation({})], [row])).toEqual([]);
  expect(rules([conversation({ answers: [answered(401, "WEBHOOK_NOT_AUTHENTIC")] }, false)], [])).toEqual([]);
  // we were late: the machine stood still
  expect(rules([conversation({ answers: [], lastedMs: 20_000 })], [])).toEqual([]);
});

describe("the audit sees", () => {
  test.for<[string, Conversation, readonly KeptRequest[], string]>([
    ["a server that is gone", conversation({ refused: true, answers: [] }, false), [], "always listening"],
    ["a failure of ours", conversation({ answers: [answered(500, "INTERNAL")] }, false), [], "no failure of ours"],
    ["an authentic webhook refused", conversation({ answers: [answered(401)] }), [], "what is authentic is taken"],
    ["an authentic webhook without an answer", conversation({ answers: [] }), [], "what is authentic is taken"],
    [
      "one that is never answered",
      conversation({ answers: [], lastedMs: 20_000, closed: false }),
      [],
      "what is authentic is taken",
    ],
    [
      "one that was told to be late at once",
      conversation({ answers: [answered(408)] }),
      [],
      "what is authentic is taken",
    ],
    ["one that is not in the ledger", conversation({}, false), [], "accepted is kept"],
    ["one that is there twice", conversation({}), [row, { ...row, dedupeKey: "b" }], "taken is kept once"],
    ["an event accepted twice", conversation({}), [row, { ...row, correlationId: "other" }], "once an event"],
    [
      "one that was kept and refused",
      conversation({ answers: [answered(400)] }, false),
      [row],
      "what is kept is not refused",
    ],
  ])("%s", ([, said, kept, rule]) => {
    expect(rules([said], kept)).toContain(rule);
  });

  test("a secret in a log", () => {
    expect(leaksIn(["all is well", "key s3cret refused"], ["s3cret"])).toHaveLength(1);
  });

  test("a leak, and not what garbage collection leaves lying about", () => {
    expect(growth([at(30), at(32), at(80), at(35), at(30), at(33), at(60), at(36)]).findings).toEqual([]);
    expect(growth([at(30), at(31), at(33), at(34), at(36), at(37), at(39), at(40)]).findings).toHaveLength(1);
  });

  test("a leak outside of the heap by what each round adds, and not the marks of busy moments", () => {
    // as 45 minutes were: 274 MiB, steps to 386 in the first quarter of an hour, then flat
    const marks = rounds(177, (round) =>
      round < 13 ? 278 : round < 40 ? 322 : round < 60 ? 364 : round < 120 ? 385 : 386,
    );
    expect(growth(marks.map(resident))).toMatchObject({ findings: [], rssKibARound: 0 });
    const leaking = rounds(177, (round) => 274 + round * 0.2);
    expect(growth(leaking.map(resident)).findings).toHaveLength(1);
    expect(growth(rounds(20, () => 513).map(resident)).findings).toEqual([
      { rule: "no leak", what: "rss was 513 MiB" },
    ]);
  });
});

test("the same seed and number are the same input, but for what is signed with the time", () => {
  expect(shape(3)).toEqual(shape(3));
  expect(kindsOf(3)).toEqual(kindsOf(3));
  expect(kindsOf(3)).not.toEqual(kindsOf(4));
});

const reply = (status: number, body = "{}") => ({ status, contentType: "application/json", body });
const found = (...args: Parameters<typeof auditCall>) => auditCall(...args).map(({ rule }) => rule);

describe("of the management API the audit sees", () => {
  const operation = { method: "post", path: "/api/v1/things/{id}", parameters: [], body: {} } as const;
  const said = {
    kind: "call",
    number: 1,
    operation,
    isItsPath: true,
    target: "/",
    headers: {},
    body: undefined,
  } as const;
  const asDescribed = { judge: () => undefined };

  test("nothing in an answer that is as it must be", () => {
    expect(found({ ...said, key: "all" }, reply(200), asDescribed)).toEqual([]);
    expect(found({ ...said, key: "read" }, reply(403), asDescribed)).toEqual([]);
    expect(found({ ...said, key: "none" }, reply(401), asDescribed)).toEqual([]);
    expect(failureIn(503, "ROUTE_TRANSFORM_OVERLOADED")).toEqual([]);
  });

  test.for([
    ["a failure of ours", "all", reply(500, '{"code":"INTERNAL"}'), undefined, "no failure of ours"],
    ["a call that was taken without a key", "none", reply(200), undefined, "no call without a key"],
    ["a key that opened too much", "read", reply(200), undefined, "a key opens no more than its scopes"],
    ["an answer that is not described", "all", reply(200), "no such answer", "answers are as described"],
  ] as const)("%s", ([, key, answer, judged, rule]) => {
    expect(found({ ...said, key }, answer, { judge: () => judged })).toEqual([rule]);
  });

  test("one seed makes the same calls of the same answers", () => {
    const body = { type: "object", properties: { name: { type: "string" }, size: { type: "integer" } } };
    const calls = (from: number) =>
      Array.from({ length: 40 }, (_, number) =>
        apiInputOf(from, number, [{ ...operation, body }], { schemas: {}, known: { things: ["a"] } }),
      );
    expect(calls(7)).toEqual(calls(7));
    expect(calls(7)).not.toEqual(calls(8));
  });
});
