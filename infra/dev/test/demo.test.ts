import { describe, expect, test } from "vitest";
import { readArguments } from "../src/demo/arguments.ts";
import { balance, differences, percentile } from "../src/demo/books.ts";
import { makePlan, type Plan } from "../src/demo/plan.ts";
import { type Facts, leastId } from "../src/demo/read-back.ts";
import type { Sent } from "../src/demo/send.ts";
import { githubSignature, stripeSignature } from "../src/demo/signing.ts";
import { summary } from "../src/demo/summary.ts";

const now = new Date("2026-11-22T10:00:00Z");
const planOf = (count: number, yookassa = true): Plan =>
  makePlan({ run: "demo-1", count, secrets: { github: "g", stripe: "s" }, yookassa, now });

test.for([
  { args: [], parsed: { count: 1000, rate: 200 } },
  { args: ["--count", "10"], parsed: { count: 10, rate: 200 } },
  { args: ["--rate=0", "--count=5"], parsed: { count: 5, rate: 0 } },
])("reads the arguments $args", ({ args, parsed }) => {
  expect(readArguments(args)).toEqual(parsed);
});

test.for([
  { args: ["--counts", "1"] },
  { args: ["--count", "ten"] },
  { args: ["--count"] },
  { args: ["--count", "0"] },
])("refuses the arguments $args", ({ args }) => {
  expect(() => readArguments(args)).toThrow(/--count/);
});

test("signs as the providers document it", () => {
  // GitHub's own example: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
  expect(githubSignature("It's a Secret to Everybody", Buffer.from("Hello, World!"))).toBe(
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
  );
  expect(stripeSignature("s", Buffer.from("{}"), 5)).toMatch(/^t=5,v1=[0-9a-f]{64}$/);
});

describe("the plan", () => {
  test("has as many events as asked, of three providers, half of them sent more than once", () => {
    const { events, payments } = planOf(1000);
    const by = (source: string): number => events.filter(({ request }) => request.source === source).length;
    expect([by("github"), by("stripe"), by("yookassa")]).toEqual([600, 200, 200]);
    expect(events.filter(({ copies }) => copies > 1)).toHaveLength(500);
    expect(payments).toHaveLength(190);
    expect(new Set(events.map(({ correlationId }) => correlationId)).size).toBe(1000);
  });

  test("has forgeries of every kind even when it is small, and a bounded number when it is large", () => {
    expect(new Set(planOf(1).forgeries.map(({ cause }) => cause)).size).toBe(7);
    expect(planOf(2000).forgeries).toHaveLength(90);
  });

  test("leaves YooKassa out where no sandbox is there", () => {
    const { events, forgeries, payments } = planOf(100, false);
    expect([...events, ...forgeries].some(({ request }) => request.source === "yookassa")).toBe(false);
    expect(payments).toEqual([]);
  });
});

describe("the books", () => {
  const plan = planOf(100);
  const sent: Sent[] = [
    ...plan.events.flatMap(({ copies }) =>
      Array.from({ length: copies }, () => ({ genuine: true, status: 202, ackMs: 4 })),
    ),
    ...plan.forgeries.map(() => ({ genuine: false, status: 401, ackMs: 1 })),
  ];
  const rejected: Record<string, number> = {};
  for (const { cause } of plan.forgeries) rejected[cause] = (rejected[cause] ?? 0) + 1;
  const right: Facts = {
    accepted: 100,
    duplicates: 70,
    rejected,
    rejectedNotKept: 0,
    jobs: {
      "notifications.send-template succeeded": 99,
      "payments.confirm-yookassa succeeded": 19,
      "payments.confirm-yookassa dead": 1,
    },
    unfinished: 0,
    deliveriesAccepted: 99,
    mails: { total: 99, uniqueMessageIds: 99, events: 99, webhookToMailMs: [5, 10] },
  };

  test("balance when everything is there once", () => {
    expect(differences(balance(plan, sent, right))).toEqual([]);
  });

  test.for([
    { when: "an event is lost", facts: { accepted: 99 }, what: "accepted" },
    { when: "a duplicate was taken", facts: { duplicates: 69 }, what: "duplicates" },
    {
      when: "a mail is missing",
      facts: { mails: { ...right.mails, uniqueMessageIds: 98 } },
      what: "emails, unique by Message-ID",
    },
    { when: "a mail came twice", facts: { mails: { ...right.mails, total: 100 } }, what: "emails" },
    {
      when: "a job died",
      facts: {
        jobs: { ...right.jobs, "notifications.send-template succeeded": 98, "notifications.send-template dead": 1 },
      },
      what: "jobs succeeded: notifications.send-template",
    },
    {
      when: "a forgery was let in",
      facts: { rejected: { ...rejected, body_too_large: 0 } },
      what: "rejected: body_too_large",
    },
  ])("name the number when $when", ({ facts, what }) => {
    const found = differences(balance(plan, sent, { ...right, ...facts } as Facts));
    expect(found.map((check) => check.what)).toContain(what);
  });

  test("count refused requests that were not kept", () => {
    const kept = { ...rejected, signature_mismatch: 0 };
    const facts = { ...right, rejected: kept, rejectedNotKept: rejected["signature_mismatch"] ?? 0 };
    expect(differences(balance(plan, sent, facts))).toEqual([]);
  });

  test("are told on the summary, latencies included", () => {
    const checks = balance(plan, sent, { ...right, accepted: 99 });
    const text = summary({ facts: { ...right, accepted: 99 }, sent, checks, sendingMs: 1000, drainedMs: 500 });
    expect(text).toContain("DIFFERS: accepted: expected 100, found 99");
    expect(text).toContain("webhook → email  p50 5.0 ms   p99 10 ms");
  });
});

test.for([
  { values: [], share: 0.5, is: undefined },
  { values: [7], share: 0.99, is: 7 },
  { values: [1, 2, 3, 4], share: 0.5, is: 2 },
  { values: Array.from({ length: 100 }, (_, at) => at + 1), share: 0.99, is: 99 },
])("the $share percentile of $values.length values is $is", ({ values, share, is }) => {
  expect(percentile(values, share)).toBe(is);
});

test("the least id of a run lies a minute before it and has UUIDv7's form", () => {
  const id = leastId(now);
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7000-8000-000000000000$/);
  expect(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(now.getTime() - 60_000);
});
