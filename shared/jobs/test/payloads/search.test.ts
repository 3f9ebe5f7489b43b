import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../src/define.ts";
import { prepare } from "../../src/enqueue/draft.ts";
import type { AttributesGiven } from "../../src/payloads/search.ts";

const payload = z.object({ orderId: z.string(), total: z.coerce.number(), note: z.string().optional() });
const order = { orderId: "17", total: "9.5" };

test("fields are taken from the parsed payload, by name or by function; what is missing is left out", () => {
  const byName = defineJob({ name: "order", payload, search: ["orderId", "total", "note"] });
  expect(prepare(byName, order).attributes).toEqual({ orderId: "17", total: 9.5 });
  const byFunction = defineJob({
    name: "order",
    payload,
    search: ({ orderId, total, note }) => ({ order: orderId, big: total > 5, note }),
  });
  expect(prepare(byFunction, order).attributes).toEqual({ order: "17", big: true });
});

test("a job without searchable fields has none, and a job whose fields are all missing neither", () => {
  expect(prepare(defineJob({ name: "order", payload }), order)).not.toHaveProperty("attributes");
  expect(prepare(defineJob({ name: "order", payload, search: ["note"] }), order)).not.toHaveProperty("attributes");
});

const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`field${index}`, index]));
test.for<{ what: string; search: () => unknown }>([
  { what: "eleven fields", search: () => eleven },
  { what: "an object", search: () => ({ a: { b: 1 } }) },
  { what: "an array", search: () => ({ a: [1] }) },
  { what: "no object", search: () => "17" },
  { what: "NaN", search: () => ({ a: Number.NaN }) },
  { what: "a text of 201 characters", search: () => ({ a: "x".repeat(201) }) },
  { what: "U+0000", search: () => ({ a: "\u0000" }) },
  { what: "a name with a space", search: () => ({ "a b": 1 }) },
  {
    what: "a function that throws",
    search: () => {
      throw new Error("secret");
    },
  },
])("$what is refused, and the message does not hold the value", ({ search }) => {
  const definition = defineJob({ name: "order", payload, search: search as () => AttributesGiven });
  const enqueue = () => prepare(definition, order);
  expect(enqueue).toThrow(expect.objectContaining({ code: "JOB_SEARCH_INVALID" }));
  expect(enqueue).not.toThrow("secret");
});
