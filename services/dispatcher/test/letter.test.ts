import { expect, test } from "vitest";
import { type LetterDelivery, readDeadEvent, readDeadLetter, readUnroutable } from "../src/letter.ts";
import { bundles } from "../src/sender.ts";

const job = "0190b5c0-0000-7000-8000-000000000000";

function delivery(change: Partial<LetterDelivery> = {}): LetterDelivery {
  const body = Buffer.from(JSON.stringify({ v: 1, jobs: [job] }));
  return {
    messageId: "m",
    headers: {},
    exchange: "warren.dead",
    routingKey: "notes",
    body,
    correlationId: undefined,
    ...change,
  };
}

test.for<{ of: string; headers: Record<string, unknown>; reason: string }>([
  {
    of: "the newest death",
    headers: { "x-death": [{ reason: "delivery_limit" }, { reason: "rejected" }] },
    reason: "delivery_limit",
  },
  { of: "the first death's header", headers: { "x-first-death-reason": "rejected" }, reason: "rejected" },
  { of: "no header at all", headers: {}, reason: "unknown" },
  { of: "a header of another shape", headers: { "x-death": "what" }, reason: "unknown" },
])("the reason out of $of is $reason", ({ headers, reason }) => {
  expect(readDeadLetter("notes", delivery({ headers }))).toMatchObject({ queue: "notes", reason, jobIds: [job] });
});

test.for(["", "[]", "null", '{"v":1,"jobs":["x"]}', '{"v":1', "\u0000"])(
  "the body %j names no jobs, and is kept",
  (text) => {
    const body = Buffer.from(text);
    expect(readDeadLetter("notes", delivery({ body }))).toMatchObject({ jobIds: [], body });
  },
);

test("an unroutable message names the queue that it was for", () => {
  expect(readUnroutable(delivery({ routingKey: "ghosts" }))).toMatchObject({ queue: "ghosts", reason: "unroutable" });
});

test.for<{ jobs: number; messages: number; most: number }>([
  { jobs: 0, messages: 0, most: 0 },
  { jobs: 1, messages: 1, most: 1 },
  { jobs: 25, messages: 25, most: 1 },
  { jobs: 26, messages: 13, most: 2 },
  { jobs: 1_000, messages: 25, most: 40 },
  { jobs: 5_000, messages: 100, most: 50 },
])("$jobs jobs travel in $messages messages of at most $most", ({ jobs, messages, most }) => {
  const ids = Array.from({ length: jobs }, (_, index) => index);
  const cut = bundles(ids);
  expect(cut).toHaveLength(messages);
  expect(Math.max(0, ...cut.map((bundle) => bundle.length))).toBe(most);
  expect(cut.flat()).toEqual(ids);
});

test("a dead event says whose it is and why, also when its data look like a job message", () => {
  const headers = {
    "x-warren-reason": "EVENT_ATTEMPTS_EXHAUSTED",
    "x-first-death-reason": "expired",
    "x-warren-death": [{ reason: "expired" }],
    cloudEvents_id: "e-1",
    cloudEvents_type: "orders.created",
  };
  expect(
    readDeadEvent(delivery({ headers, routingKey: "event.billing.invoices", correlationId: "c-1" })),
  ).toMatchObject({
    queue: "warren.events.billing.invoices",
    reason: "EVENT_ATTEMPTS_EXHAUSTED",
    death: [{ reason: "expired" }],
    jobIds: [],
    event: { subscription: "billing.invoices", id: "e-1", type: "orders.created", correlationId: "c-1" },
  });
});

test("an event that came down the ladder and found no subscription is that subscription's dead event", () => {
  const back = delivery({ exchange: "warren.retry.back", routingKey: "5s.billing.invoices" });
  expect(readUnroutable(back)).toMatchObject({
    reason: "unroutable",
    jobIds: [],
    event: { subscription: "billing.invoices", id: "m" },
  });
});
