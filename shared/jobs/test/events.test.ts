import { defaultLadderMs, eventsTopology, retryKey } from "@warren/amqp";
import { eventHeaders, eventPattern } from "@warren/contracts";
import { createLogger, createMetrics } from "@warren/observability";
import { assert, constantFrom, array as listOf, property } from "fast-check";
import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { JobAbortedError, JobDataError, JobError, NonRetryableError, Snoozed } from "../src/errors.ts";
import { defineEvent, type EventDefinition, matchesPattern } from "../src/events/define.ts";
import { onwardMessage } from "../src/events/onward.ts";
import { createPublish, type PublishOptions } from "../src/events/publish.ts";
import { type SubscriptionOptions, subscribe } from "../src/events/subscribe.ts";
import { decideEvent, type EventOutcome, type EventPolicy, type EventVerdict, rungFor } from "../src/events/verdict.ts";
import { carriedHeaders, readAttributes, readTime, sendingId, writeHeaders } from "../src/events/wire.ts";

const orderCreated = defineEvent({ type: "orders.created", schema: z.object({ n: z.number() }) });
const orderPaid = defineEvent({ type: "orders.paid", version: 3, schema: z.object({ at: z.iso.datetime() }) });
const options: SubscriptionOptions = { service: "billing", name: "invoices" };

const policy: EventPolicy = { attempt: 1, maxAttempts: 3, backoff: "ladder", ladderMs: [10, 100, 1_000] };
const threw = (error: unknown): EventOutcome => ({ kind: "threw", error });
const asking = Object.assign(new Error("slow down"), { retryAfterMs: 50 });
const boom = new Error("boom");
const invalid = new JobDataError("EVENT_DATA_INVALID", "no");
const unhandled = new JobError("EVENT_UNHANDLED", "no");
const late = new JobAbortedError("EVENT_TIMEOUT", "late");

test.for<{ when: string; outcome: EventOutcome; more?: Partial<EventPolicy>; verdict: EventVerdict }>([
  { when: "the handler returned", outcome: { kind: "handled" }, verdict: { kind: "ack", as: "handled" } },
  { when: "the inbox knows it", outcome: { kind: "duplicate" }, verdict: { kind: "ack", as: "duplicate" } },
  {
    when: "its transaction met another delivery's",
    outcome: threw(new JobError("EVENT_HANDLED_BEFORE", "x")),
    verdict: { kind: "ack", as: "duplicate" },
  },
  { when: "the subscriber stops", outcome: { kind: "stopping" }, verdict: { kind: "return" } },
  { when: "it failed", outcome: threw(boom), verdict: { kind: "retry", delayMs: 10, attempt: 2, as: "retried" } },
  {
    when: "it failed a second time",
    outcome: threw(boom),
    more: { attempt: 2 },
    verdict: { kind: "retry", delayMs: 100, attempt: 3, as: "retried" },
  },
  {
    when: "it failed above the highest rung",
    outcome: threw(boom),
    more: { attempt: 9, maxAttempts: 20 },
    verdict: { kind: "retry", delayMs: 1_000, attempt: 10, as: "retried" },
  },
  {
    when: "it took too long",
    outcome: threw(late),
    verdict: { kind: "retry", delayMs: 10, attempt: 2, as: "retried" },
  },
  {
    when: "attempts are spent",
    outcome: threw(boom),
    more: { attempt: 3 },
    verdict: { kind: "dead", reason: "EVENT_ATTEMPTS_EXHAUSTED", error: boom },
  },
  {
    when: "the provider asks to wait",
    outcome: threw(asking),
    verdict: { kind: "retry", delayMs: 100, attempt: 2, as: "retried" },
  },
  {
    when: "a rule's delay lies between two rungs",
    outcome: threw(boom),
    more: { backoff: { kind: "fixed", delayMs: 11, jitter: "none" } },
    verdict: { kind: "retry", delayMs: 100, attempt: 2, as: "retried" },
  },
  {
    when: "it is snoozed at its last attempt",
    outcome: threw(new Snoozed(99)),
    more: { attempt: 3 },
    verdict: { kind: "retry", delayMs: 100, attempt: 3, as: "snoozed" },
  },
  {
    when: "the data do not fit",
    outcome: threw(invalid),
    verdict: { kind: "dead", reason: "EVENT_DATA_INVALID", error: invalid },
  },
  {
    when: "nobody here takes its version",
    outcome: threw(unhandled),
    verdict: { kind: "retry", delayMs: 10, attempt: 2, as: "retried" },
  },
  {
    when: "nobody took its version for long",
    outcome: threw(unhandled),
    more: { attempt: 3 },
    verdict: { kind: "dead", reason: "EVENT_UNHANDLED", error: unhandled },
  },
])("when $when, the verdict is $verdict.kind", ({ outcome, more, verdict }) => {
  expect(decideEvent(outcome, { ...policy, ...more }, () => 0.5)).toEqual(verdict);
});

test("an error that says so is dead at once, by its own code", () => {
  const error = new NonRetryableError("no such order");
  expect(decideEvent(threw(error), policy, () => 0)).toEqual({ kind: "dead", reason: "JOB_NOT_RETRYABLE", error });
  expect(rungFor(5, [10])).toBe(10);
});

test.for<[pattern: string, type: string, matches: boolean]>([
  ["orders.created", "orders.created", true],
  ["orders.created", "orders.paid", false],
  ["orders.*", "orders.created", true],
  ["orders.*", "orders.created.again", false],
  ["orders.*", "orders", false],
  ["orders.#", "orders", true],
  ["orders.#", "orders.created.again", true],
  ["#", "anything.at.all", true],
  ["#.again", "orders.created.again", true],
  ["*.created", "orders.created", true],
  ["#.created.#", "created", true],
  ["orders.#.x.#.y", "orders.x.y", true],
])("pattern %s and type %s: %s", ([pattern, type, matches]) => {
  expect(matchesPattern(pattern, type)).toBe(matches);
});

test("a type matches itself, # alone, and itself with any word starred", () => {
  const words = listOf(constantFrom<string[]>("orders", "created", "a-b", "x_1"), { minLength: 1, maxLength: 6 });
  assert(
    property(words, (list) => {
      const type = list.join(".");
      expect(matchesPattern(type, type)).toBe(true);
      expect(matchesPattern("#", type)).toBe(true);
      for (const at of list.keys()) {
        const starred = list.with(at, "*").join(".");
        expect(eventPattern.safeParse(starred).success).toBe(true);
        expect(matchesPattern(starred, type)).toBe(true);
        expect(matchesPattern(`${type}.more`, type)).toBe(false);
      }
    }),
  );
});

test("what is written is what the contract says, and is read back as it was", () => {
  const time = new Date("2026-01-02T03:04:05.678Z");
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const event = { id: "e-1", type: "orders.created", source: "/orders", time, version: 2, subject: "o-1" };
  const headers = writeHeaders({ ...event, dataSchema: "urn:x", traceparent });
  expect(eventHeaders.parse(headers)).toEqual(headers);
  const message = { headers, messageId: "other", type: undefined, routingKey: "key", correlationId: "c-1" };
  const read = readAttributes(message);
  expect({ ...read, time: readTime(read.time) }).toEqual({
    ...event,
    correlationId: "c-1",
    traceparent,
    attempt: 1,
    replayOf: undefined,
  });
});

test.for([
  {
    what: "the other prefix of CloudEvents",
    headers: { "cloudEvents:id": "e-2", "cloudEvents:dataversion": "4" },
    id: "e-2",
    version: 4,
  },
  { what: "an AMQP timestamp", headers: { cloudEvents_time: { "!": "timestamp", value: 1 } }, time: new Date(1_000) },
  { what: "nonsense", headers: { cloudEvents_time: "soon", cloudEvents_dataversion: -1, "x-warren-attempt": "x" } },
])("a publisher's $what is read as far as it goes", ({ headers, id = "m-1", version, time }) => {
  const read = readAttributes({ headers, messageId: "m-1", type: "t", routingKey: "key", correlationId: undefined });
  expect(read).toMatchObject({ id, type: "t", attempt: 1 });
  expect(read.version).toBe(version);
  expect(readTime(read.time)).toEqual(time);
});

test("an event that goes on keeps its attributes and the broker's whole history, without the header that a broker takes for a cycle", () => {
  const first = carriedHeaders(
    { "x-death": [{ queue: "a" }], "x-first-death-queue": "a", own: 1 },
    { id: "e", type: "t" },
    {},
  );
  const headers = { ...first, "x-death": [{ queue: "b" }], "x-delivery-count": 3, "x-warren-attempt": 2 };
  expect(carriedHeaders(headers, { id: "e", type: "t" }, { "x-warren-attempt": 3 })).toEqual({
    cloudEvents_id: "e",
    cloudEvents_type: "t",
    own: 1,
    "x-warren-death": [{ queue: "b" }, { queue: "a" }],
    "x-warren-attempt": 3,
  });
});

test("a retry goes to its rung and back to its subscription only, under a message id of its own that always fits", () => {
  const attributes = readAttributes({ headers: {}, messageId: "e-1", type: "t", routingKey: "t", correlationId: "c" });
  const delivery = { headers: {}, body: Buffer.from("{}"), contentType: undefined, correlationId: "c" };
  const verdict = { kind: "retry", delayMs: 5_000, attempt: 2, as: "retried" } as const;
  expect(onwardMessage({ service: "billing", name: "invoices" }, delivery, attributes, verdict, "s-1")).toMatchObject({
    exchange: "warren.retry",
    routingKey: "5s.billing.invoices",
    messageId: "e-1/s-1",
    headers: { "x-warren-attempt": 2, cloudEvents_id: "e-1", cloudEvents_type: "t" },
  });
  expect(Buffer.byteLength(sendingId("я".repeat(200), "s"))).toBeLessThanOrEqual(255);
});

test("a subscription's topology is its queue, its patterns, and a ladder with one delay a queue", () => {
  const topology = eventsTopology({
    service: "billing",
    subscriptions: [{ name: "invoices", patterns: ["orders.*"] }],
  });
  const rungs = topology.queues.filter(({ name }) => name.startsWith("warren.retry."));
  expect(rungs.map(({ name }) => name)).toEqual(
    ["1s", "5s", "30s", "2m", "10m", "1h"].map((rung) => `warren.retry.${rung}`),
  );
  expect(rungs.map((queue) => queue.arguments["x-message-ttl"])).toEqual(defaultLadderMs);
  expect(topology.bindings).toContainEqual({
    exchange: "warren.retry.back",
    queue: "warren.events.billing.invoices",
    routingKey: "*.billing.invoices",
  });
  expect(retryKey(250, "a", "b")).toBe("250ms.a.b");
  expect(() => eventsTopology({ subscriptions: [{ name: "x", patterns: [] }] })).toThrow(
    expect.objectContaining({ code: "AMQP_OPTION_INVALID" }),
  );
});

const publish = createPublish({
  ledger: { events: undefined as never },
  publisher: { publish: () => Promise.resolve() },
  source: "test",
  maxEventBytes: 100,
  log: createLogger({ service: "test", level: "silent" }),
  metrics: createMetrics({ service: "test", version: "0" }),
  newId: () => "id",
});

test("data that a subscriber could not read from JSON are refused where they are published", async () => {
  const visited = defineEvent({ type: "visited", schema: z.object({ at: z.date() }) });
  await expect(publish(visited, { at: new Date() })).rejects.toMatchObject({
    code: "EVENT_DATA_INVALID",
    details: { path: "at" },
  });
});
const cyclic: { n: number; self?: unknown } = { n: 1 };
cyclic.self = cyclic;
const anything = defineEvent({ type: "anything", schema: z.any() });

test.for<{ what: string; event?: EventDefinition; data: unknown; code: string; path?: string }>([
  { what: "a wrong field", data: { n: "one" }, code: "EVENT_DATA_INVALID", path: "n" },
  { what: "NaN", data: { n: Number.NaN }, code: "EVENT_DATA_INVALID", path: "n" },
  { what: "a cycle", event: anything, data: cyclic, code: "EVENT_DATA_UNSERIALISABLE" },
  { what: "a BigInt", event: anything, data: 1n, code: "EVENT_DATA_UNSERIALISABLE" },
  { what: "nothing", event: anything, data: undefined, code: "EVENT_DATA_UNSERIALISABLE" },
  { what: "a function", event: anything, data: () => 1, code: "EVENT_DATA_UNSERIALISABLE" },
  { what: "too many bytes", event: anything, data: "я".repeat(60), code: "EVENT_TOO_LARGE" },
])("publishing $what is refused as $code", async ({ event = orderCreated, data, code, path }) => {
  const refused = publish(event, data);
  await expect(refused).rejects.toMatchObject({ code, ...(path === undefined ? {} : { details: { path } }) });
});

test.for<{ what: string; given: unknown; code: string; path: string }>([
  { what: "an unknown option", given: { subjekt: "x" }, code: "JOB_OPTION_UNKNOWN", path: "subjekt" },
  { what: "an empty id", given: { id: "" }, code: "JOB_OPTION_INVALID", path: "id" },
  { what: "an id over 200 bytes", given: { id: "я".repeat(101) }, code: "JOB_OPTION_INVALID", path: "id" },
  { what: "a negative deadline", given: { deadlineMs: -1 }, code: "JOB_OPTION_INVALID", path: "deadlineMs" },
  { what: "a transaction that is none", given: { tx: {} }, code: "JOB_OPTION_INVALID", path: "tx" },
])("publish with $what is refused as $code", async ({ given, code, path }) => {
  await expect(publish(orderCreated, { n: 1 }, given as PublishOptions)).rejects.toMatchObject({
    code,
    details: { path },
  });
});

test.for<{ what: string; define: () => unknown; path: string; code?: string }>([
  { what: "a type with spaces", define: () => defineEvent({ type: "orders created", schema: z.any() }), path: "type" },
  { what: "a type with a wildcard", define: () => defineEvent({ type: "orders.*", schema: z.any() }), path: "type" },
  { what: "an empty word", define: () => defineEvent({ type: "orders..x", schema: z.any() }), path: "type" },
  { what: "version 0", define: () => defineEvent({ type: "a", version: 0, schema: z.any() }), path: "version" },
  { what: "no schema", define: () => defineEvent({ type: "a", schema: {} as z.ZodType }), path: "schema" },
  {
    what: "an upcaster for a version that is not older",
    define: () => defineEvent({ type: "a", schema: z.any(), upcast: { 1: (data) => data } }),
    path: "upcast.1",
  },
  { what: "a broken pattern", define: () => subscribe("orders.**", options, () => 1), path: "pattern" },
  { what: "no events", define: () => subscribe([], options, () => 1), path: "events" },
  { what: "a name with a dot", define: () => subscribe("a", { ...options, name: "a.b" }, () => 1), path: "name" },
  { what: "concurrency 0", define: () => subscribe("a", { ...options, concurrency: 0 }, () => 1), path: "concurrency" },
  {
    what: "attempts NaN",
    define: () => subscribe("a", { ...options, attempts: Number.NaN }, () => 1),
    path: "attempts",
  },
  {
    what: "a ladder that goes down",
    define: () => subscribe("a", { ...options, ladderMs: [5, 1] }, () => 1),
    path: "ladderMs",
  },
  {
    what: "an hour's timeout",
    define: () => subscribe("a", { ...options, timeoutMs: 3_600_000 }, () => 1),
    path: "timeoutMs",
  },
  {
    what: "a hard timeout below the timeout",
    define: () => subscribe("a", { ...options, timeoutMs: 9, hardTimeoutMs: 8 }, () => 1),
    path: "hardTimeoutMs",
  },
  {
    what: "a backoff function",
    define: () => subscribe("a", { ...options, backoff: (() => 1) as never }, () => 1),
    path: "backoff",
  },
  {
    what: "a schema beside a definition's own",
    define: () => subscribe(orderCreated, { ...options, schema: z.any() } as SubscriptionOptions, () => 1),
    path: "schema",
  },
  {
    what: "an unknown option",
    define: () => subscribe("a", { ...options, concurency: 1 } as SubscriptionOptions, () => 1),
    path: "concurency",
    code: "JOB_OPTION_UNKNOWN",
  },
])("$what is refused, its path named", ({ define, path, code = "JOB_OPTION_INVALID" }) => {
  expect(define).toThrow(expect.objectContaining({ code, details: expect.objectContaining({ path }) }));
});

test("data and type are typed by the definitions, one or several, and by a pattern's schema", () => {
  subscribe(orderCreated, options, ({ data, type }) => {
    expectTypeOf(data).toEqualTypeOf<{ n: number }>();
    expectTypeOf(type).toEqualTypeOf<"orders.created">();
  });
  subscribe([orderCreated, orderPaid], options, (event) => {
    if (event.type === "orders.paid") expectTypeOf(event.data).toEqualTypeOf<{ at: string }>();
    else expectTypeOf(event.data).toEqualTypeOf<{ n: number }>();
  });
  subscribe("orders.#", options, ({ data }) => expectTypeOf(data).toEqualTypeOf<unknown>());
  subscribe("orders.#", { ...options, schema: z.object({ a: z.string() }) }, ({ data }) =>
    expectTypeOf(data).toEqualTypeOf<{ a: string }>(),
  );
  // @ts-expect-error the data of another event
  void publish(orderCreated, { at: "x" }).catch(() => undefined);
});

test("a subscription takes each version by its own schema, the latest where none is named, and no other", () => {
  const second = defineEvent({ type: "orders.created", version: 2, schema: z.object({ m: z.number() }) });
  const { patterns, shapeOf, labelOf } = subscribe([orderCreated, second], options, () => undefined);
  expect(patterns).toEqual(["orders.created"]);
  expect(shapeOf("orders.created", 1)).toEqual({ kind: "schema", schema: orderCreated.schema });
  expect(shapeOf("orders.created", undefined)).toEqual({ kind: "schema", schema: second.schema });
  expect(shapeOf("orders.created", 3)).toEqual({ kind: "unhandled" });
  expect(shapeOf("orders.paid", 1)).toEqual({ kind: "unhandled" });
  expect(labelOf("whatever")).toBe("other");
});
