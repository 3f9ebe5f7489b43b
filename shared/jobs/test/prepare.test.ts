import { WarrenError } from "@warren/contracts";
import { runWithContext } from "@warren/observability";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { prepare } from "../src/enqueue/draft.ts";
import { handle } from "../src/handle.ts";
import { createSlots } from "../src/worker/slots.ts";

const mail = defineJob({
  name: "mail",
  queue: "post",
  payload: z.object({ user: z.object({ email: z.email() }), note: z.unknown().optional() }),
  attempts: 4,
});
const good = { user: { email: "anna@example.com" } };

function refusal(run: () => unknown): WarrenError {
  try {
    run();
  } catch (error) {
    if (error instanceof WarrenError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

test("a wrong payload is refused with the path to its field", () => {
  const error = refusal(() => prepare(mail, { user: { email: "nobody" } }));
  expect([error.code, error.details["path"]]).toEqual(["JOB_PAYLOAD_INVALID", "user.email"]);
  expect(error.message).toContain("payload of mail.user.email");
});

test.for<{ what: string; given: unknown; says: string }>([
  { what: "the name of a job", given: "mail", says: 'got "mail"' },
  { what: "a handler", given: handle(mail, () => undefined), says: "got a handler: give its definition" },
  { what: "options that defineJob has not seen", given: { name: "mail" }, says: "made by defineJob" },
  { what: "nothing", given: undefined, says: "got undefined" },
])("$what in place of a definition is refused", ({ given, says }) => {
  const error = refusal(() => prepare(given as typeof mail, good));
  expect(error.code).toBe("JOB_OPTION_INVALID");
  expect(error.message).toContain(says);
});

describe("a payload that its worker could not read from JSON is refused where it is enqueued", () => {
  const at = new Date("2026-11-22T12:00:00Z");
  test("z.date(), which takes no text", () => {
    const definition = defineJob({ name: "visit", payload: z.object({ visits: z.array(z.object({ at: z.date() })) }) });
    const error = refusal(() => prepare(definition, { visits: [{ at }] }));
    expect([error.code, error.details["path"]]).toEqual(["JOB_PAYLOAD_INVALID", "visits.0.at"]);
    expect(error.message).toContain("z.coerce.date()");
    expect(prepare(definition, { visits: [] }).payload).toEqual({ visits: [] });
  });

  test.for<{ what: string; schema: z.ZodType; value: unknown }>([
    { what: "z.coerce.date()", schema: z.coerce.date(), value: at },
    { what: "an ISO text", schema: z.iso.datetime(), value: at.toISOString() },
    { what: "a union with text", schema: z.union([z.date(), z.string()]), value: at },
    { what: "a schema of its own", schema: z.preprocess((value) => new Date(String(value)), z.date()), value: at },
  ])("$what is taken", ({ schema, value }) => {
    const definition = defineJob({ name: "visit", payload: z.object({ at: schema }) });
    expect(prepare(definition, { at: value }).payload).toEqual({ at: value });
  });
});

const cycle: Record<string, unknown> = {};
cycle["self"] = cycle;
test.for([
  { what: "a cycle", note: cycle },
  { what: "a BigInt", note: 5n },
  { what: "U+0000", note: "a\u0000b" },
  { what: "half of a surrogate pair", note: { deep: ["\ud800"] } },
])("a payload with $what is refused as unserialisable", ({ note }) => {
  expect(refusal(() => prepare(mail, { ...good, note })).code).toBe("JOB_PAYLOAD_UNSERIALISABLE");
});

test.for([String.raw`\u0000`, String.raw`C:\ud800`, "😀"])("the harmless text %s is accepted", (note) => {
  expect(prepare(mail, { ...good, note }).payload).toEqual({ ...good, note });
});

test.for<{ options: object; code: string }>([
  { options: { delayMs: -1 }, code: "JOB_OPTION_INVALID" },
  { options: { delayMs: Number.NaN }, code: "JOB_OPTION_INVALID" },
  { options: { at: new Date(Number.NaN) }, code: "JOB_OPTION_INVALID" },
  { options: { at: new Date(), delayMs: 5 }, code: "JOB_OPTION_INVALID" },
  { options: { id: "" }, code: "JOB_OPTION_INVALID" },
  { options: { priority: -1 }, code: "JOB_OPTION_INVALID" },
  { options: { delay: 5 }, code: "JOB_OPTION_UNKNOWN" },
])("enqueue options $options are refused with $code", ({ options, code }) => {
  expect(refusal(() => prepare(mail, good, options)).code).toBe(code);
});

test("the row carries the definition's policy and the context's ids", () => {
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const row = runWithContext({ correlationId: "c-1", traceparent }, () => prepare(mail, good, { id: "k" }));
  expect(row).toMatchObject({
    queue: "post",
    name: "mail",
    version: 1,
    maxAttempts: 4,
    key: "k",
    correlationId: "c-1",
    trace: traceparent,
    sendBy: "enqueuer",
  });
});

test("slots never count past their size, and a counting mistake does not hide", () => {
  const slots = createSlots(3, { freed: () => undefined, changed: () => undefined });
  expect([slots.take(2), slots.take(5), slots.take(1), slots.free]).toEqual([2, 1, 0, 0]);
  slots.give(3);
  expect(slots.free).toBe(3);
  expect(() => slots.give(1)).toThrow(RangeError);
});

test("slots that become fewer let what runs run, and start nothing until there is room", () => {
  let freed = 0;
  const slots = createSlots(3, { freed: () => void (freed += 1), changed: () => undefined });
  slots.take(3);
  slots.resize(1);
  expect([slots.free, slots.take(1), slots.taken]).toEqual([0, 0, 3]);
  slots.give(2);
  expect([slots.free, slots.take(1)]).toEqual([0, 0]);
  slots.give(1);
  expect([slots.free, freed]).toEqual([1, 2]);
  slots.resize(4);
  expect([slots.free, freed]).toEqual([4, 3]);
});

const deliver = defineJob({
  name: "deliver",
  payload: z.object({ to: z.string() }),
  key: ({ to }) => to,
  breakers: ({ to }) => [`host:${to}`],
});

test("key and breakers may follow from the payload, and a key given at the enqueue wins", () => {
  expect(prepare(deliver, { to: "anna" })).toMatchObject({ limitKey: "anna", breakers: ["host:anna"] });
  expect(prepare(deliver, { to: "anna" }, { key: "tenant" })).toMatchObject({
    limitKey: "tenant",
    breakers: ["host:anna"],
  });
});

test("a key or breaker of the payload that is none is refused", () => {
  expect(refusal(() => prepare(deliver, { to: "" }))).toMatchObject({
    code: "JOB_OPTION_INVALID",
    details: { path: "key" },
  });
  expect(refusal(() => prepare(deliver, { to: "x".repeat(200) }))).toMatchObject({ details: { path: "breakers.0" } });
});
