import { createLogger, createMetrics } from "@warren/observability";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  type ClientOptions,
  createClient,
  defineEvent,
  defineJob,
  handle,
  handleBatch,
  JobOptionError,
  subscribe,
} from "../src/index.ts";

const mail = defineJob({ name: "mail", payload: z.object({ to: z.string() }) });
const sent = defineEvent({ type: "sent", schema: z.object({}) });
const at = { service: "test", name: "sent" };
// whoever asked this ledger for anything would get a TypeError
const client = createClient({
  ledger: {} as ClientOptions["ledger"],
  log: createLogger({ service: "test", level: "silent" }),
  metrics: createMetrics({ service: "test", version: "0" }),
});

/** What a caller in JavaScript, or one who casts, may pass. */
const wrong = (value: unknown) => value as never;

test.for<{ what: string; call: () => unknown; path: string; says: string }>([
  { what: "a handler that is none", call: () => handle(mail, wrong("send")), path: "run", says: "got string" },
  {
    what: "a batch handler that is none",
    call: () => handleBatch(mail, { maxSize: 2, maxWaitMs: 1 }, wrong(undefined)),
    path: "run",
    says: "got undefined",
  },
  {
    what: "a batch without a definition",
    call: () =>
      handleBatch(
        wrong({}),
        { maxSize: 2, maxWaitMs: 1 },
        wrong(async () => []),
      ),
    path: "definition",
    says: "made by defineJob",
  },
  { what: "a subscriber that is none", call: () => subscribe(sent, at, wrong(3)), path: "handler", says: "got number" },
  {
    what: "a subscription to no event",
    call: () => subscribe(wrong({}), at, () => 1),
    path: "event",
    says: "defineEvent",
  },
  {
    what: "one to a list with a stranger",
    call: () => subscribe([sent, wrong(null)], at, () => 1),
    path: "event",
    says: "got null",
  },
  {
    what: "an event that is none",
    call: () => client.publish(wrong("sent"), wrong({})),
    path: "event",
    says: "got string",
  },
  { what: "a flow that is none", call: () => client.startFlow(wrong({})), path: "flow", says: "made by defineFlow" },
  {
    what: "items that are no list",
    call: () => client.enqueueMany(mail, wrong({ to: "a" })),
    path: "items",
    says: "an array",
  },
  {
    what: "payloads in place of items",
    call: () => client.enqueueMany(mail, wrong([{ payload: { to: "a" } }, { to: "b" }])),
    path: "items.1",
    says: "{ payload, …options }",
  },
])("$what is refused with what was expected", async ({ call, path, says }) => {
  const refused = await (async () => call())().then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(refused).toBeInstanceOf(JobOptionError);
  expect(refused).toMatchObject({
    code: "JOB_OPTION_INVALID",
    details: { path },
    message: expect.stringContaining(says),
  });
});

test.for([
  { given: "maxRetries", meant: "attempts" },
  { given: "max_attempts", meant: "attempts" },
  { given: "queueName", meant: "queue" },
  { given: "time_limit", meant: "timeoutMs" },
])("a job defined with the word of another system, $given, is told $meant", ({ given, meant }) => {
  const options = { name: "mail", payload: z.object({}), [given]: 3 };
  expect(() => defineJob(options)).toThrow(`unknown option "${given}"; did you mean "${meant}"?`);
});

test.for([
  { given: "jobId", meant: "id" },
  { given: "countdown", meant: "delayMs" },
  { given: "eta", meant: "at" },
])("a job enqueued with the word of another system, $given, is told $meant", async ({ given, meant }) => {
  await expect(client.enqueue(mail, { to: "a" }, wrong({ [given]: 3 }))).rejects.toThrow(`did you mean "${meant}"?`);
});
