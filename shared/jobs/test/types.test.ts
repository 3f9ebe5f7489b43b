import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import { defineJob, type PayloadOf, type ResultOf } from "../src/define.ts";
import type { Client } from "../src/enqueue/client.ts";
import { handle } from "../src/handle.ts";

const resize = defineJob({
  name: "resize",
  payload: z.object({ url: z.url(), width: z.number().default(100), at: z.coerce.date().optional() }),
  result: z.object({ bytes: z.number() }),
});
const forget = defineJob({ name: "forget", payload: z.object({ id: z.string() }) });
declare const client: Client;

test("callers give the schema's input, handlers get its output", () => {
  expectTypeOf<PayloadOf<typeof resize>>().toMatchTypeOf<{ url: string; width?: number | undefined }>();
  handle(resize, ({ payload, signal }) => {
    expectTypeOf(payload.width).toEqualTypeOf<number>();
    expectTypeOf(payload.at).toEqualTypeOf<Date | undefined>();
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
    return { bytes: 1 };
  });
});

test("a handler returns what the result schema says, and anything where there is none", () => {
  expectTypeOf<ResultOf<typeof resize>>().toEqualTypeOf<{ bytes: number }>();
  expectTypeOf<ResultOf<typeof forget>>().toEqualTypeOf<unknown>();
  // @ts-expect-error: the result is an object
  handle(resize, () => 5);
  // @ts-expect-error: `bytes` is a number
  handle(resize, async () => ({ bytes: "5" }));
  handle(forget, () => undefined);
  handle(resize, async (job) => {
    // @ts-expect-error: complete takes the result, too
    await job.complete(async () => ({ rows: [] }), { size: 1 });
    return { bytes: 1 };
  });
});

test("a wrong payload does not compile", () => {
  const calls = [
    // @ts-expect-error: `url` is missing
    () => client.enqueue(resize, { width: 5 }),
    // @ts-expect-error: `width` is a number
    () => client.enqueue(resize, { url: "https://example.com", width: "5" }),
    // @ts-expect-error: no such field
    () => client.enqueue(resize, { url: "https://example.com", heigth: 5 }),
    // @ts-expect-error: no such option
    () => client.enqueue(resize, { url: "https://example.com" }, { delay: 5 }),
    // @ts-expect-error: items carry their payload
    () => client.enqueueMany(resize, [{ url: "https://example.com" }]),
    () => client.enqueueMany(resize, [{ payload: { url: "https://example.com" }, delayMs: 5 }]),
    // @ts-expect-error: a misspelt option of a definition
    () => defineJob({ name: "x", payload: z.string(), attemps: 3 }),
  ];
  expectTypeOf(calls).toBeArray();
});
