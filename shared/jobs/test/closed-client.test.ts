import { createLogger, createMetrics } from "@warren/observability";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { type ClientOptions, createClient } from "../src/enqueue/client.ts";
import { defineEvent } from "../src/events/define.ts";
import { chain, step } from "../src/index.ts";

const any = defineJob({ name: "any", payload: z.object({}) });
const told = defineEvent({ type: "told", schema: z.object({}) });

test("a client that was closed takes nothing more, though its ledger is still open", async () => {
  // whoever asked this ledger for anything would get a TypeError
  const ledger = {} as ClientOptions["ledger"];
  const log = createLogger({ service: "test", level: "silent" });
  const client = createClient({ ledger, log, metrics: createMetrics({ service: "test", version: "0" }) });
  await client[Symbol.asyncDispose]();
  const calls = [
    client.enqueue(any, {}),
    client.enqueueMany(any, [{ payload: {} }]),
    client.prepare(any, {}),
    client.publish(told, {}),
    client.startFlow(chain("one", [step(any, {})])),
    client.releaseUnique(any, "key"),
    client.delayed.runNow("01890000-0000-7000-8000-000000000000"),
    client.schedules.list(),
  ];
  for (const call of calls) await expect(call).rejects.toMatchObject({ code: "WARREN_CLOSED", retryable: true });
  expect(() => client.announce([{ id: "1", queue: "default" }])).not.toThrow();
  await client[Symbol.asyncDispose]();
});
