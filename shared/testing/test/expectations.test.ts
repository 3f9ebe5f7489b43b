import { defineEvent, defineJob } from "@warren/jobs";
import { expect, test } from "vitest";
import { z } from "zod";
import { createTestClient, expectEnqueued, expectPublished, refuteEnqueued } from "../src/jobs/index.ts";

const mail = defineJob({
  name: "mail",
  payload: z.object({ to: z.string(), vars: z.object({ name: z.string(), tags: z.array(z.string()) }).optional() }),
});
const push = defineJob({ name: "push", queue: "phones", payload: z.object({ token: z.string() }) });
const sent = defineEvent({ type: "mail.sent", schema: z.object({ to: z.string() }) });

async function enqueueSome() {
  const client = createTestClient();
  await client.enqueue(push, { token: "t" }, { priority: 7, key: "tenant-1" });
  await client.enqueue(mail, { to: "anna", vars: { name: "Anna", tags: ["a", "b"] } }, { delayMs: 60_000 });
  await client.enqueue(mail, { to: "bert" }, { id: "mail-bert" });
  return client;
}

test("a payload fits by its parts, by matchers, and by a function", async () => {
  await using client = await enqueueSome();
  expect(expectEnqueued(client, mail)).toHaveLength(2);
  expect(expectEnqueued(client, mail, { vars: { name: "Anna" } })).toMatchObject([{ payload: { to: "anna" } }]);
  expectEnqueued(client, mail, { vars: { tags: ["a", "b"] } });
  expectEnqueued(client, mail, { to: expect.stringMatching(/^be/) });
  expectEnqueued(client, mail, ({ to }) => to.length === 4, { count: 2 });
  expect(() => expectEnqueued(client, mail, { vars: { tags: ["a"] } })).toThrow("found none");
});

test("options fit queue, state, priority, key, id and time", async () => {
  await using client = await enqueueSome();
  expectEnqueued(client, push, undefined, { queue: "phones", priority: 7, key: "tenant-1", state: "ready" });
  expectEnqueued(client, mail, undefined, { delayMs: 60_000, state: ["scheduled", "ready"] });
  expectEnqueued(client, mail, undefined, { at: new Date(client.now().getTime() + 60_000) });
  expectEnqueued(client, mail, { to: "bert" }, { id: "mail-bert" });
  for (const options of [
    { queue: "x" },
    { priority: 1 },
    { key: "x" },
    { state: "dead" },
    { delayMs: 5_000 },
    { id: "x" },
  ] as const)
    expect(() => expectEnqueued(client, push, undefined, options)).toThrow("found none");
});

test("a failure shows what was enqueued instead, jobs of the same name first", async () => {
  await using client = await enqueueSome();
  expect(() => expectEnqueued(client, mail, { to: "clara" }, { queue: "default" })).toThrow(
    [
      "expected a job mail like { to: 'clara' } with { queue: 'default' }, found none",
      "enqueued:",
      "  mail { to: 'anna', vars: { name: 'Anna', tags: [ 'a', 'b' ] } } { queue: 'default', state: 'scheduled', delayMs: 60000 }",
      "  mail { to: 'bert' } { queue: 'default', state: 'ready', id: 'mail-bert' }",
      "  push { token: 't' } { queue: 'phones', state: 'ready', priority: 7, key: 'tenant-1' }",
    ].join("\n"),
  );
  expect(() => expectEnqueued(client, mail, undefined, { count: 3 })).toThrow("expected 3 jobs mail, found 2");
  expect(() => expectEnqueued(createTestClient(), mail)).toThrow(
    "expected a job mail, found none\nnothing was enqueued",
  );
});

test("a long list is cut", async () => {
  await using client = createTestClient();
  await client.enqueueMany(
    mail,
    Array.from({ length: 30 }, (_, index) => ({ payload: { to: `user ${index}` } })),
  );
  expect(() => expectEnqueued(client, push)).toThrow("  … and 10 more");
});

test("refuting shows the jobs that should not be there", async () => {
  await using client = await enqueueSome();
  refuteEnqueued(client, mail, { to: "clara" });
  refuteEnqueued(client, push, undefined, { queue: "default" });
  expect(() => refuteEnqueued(client, mail, { to: "bert" })).toThrow(
    /^expected no job mail like \{ to: 'bert' \}, found 1\nenqueued:\n {2}mail \{ to: 'bert' \}/,
  );
});

test("events are expected alike", async () => {
  await using client = createTestClient();
  await client.publish(sent, { to: "anna" }, { subject: "s" });
  expect(expectPublished(client, sent, { to: "anna" }, { subject: "s", count: 1 })).toHaveLength(1);
  expect(() => expectPublished(client, sent, { to: "bert" })).toThrow(
    "expected an event mail.sent like { to: 'bert' }, found none\npublished:\n  mail.sent { to: 'anna' }",
  );
});

test("a payload of another job's shape does not compile", async () => {
  await using client = await enqueueSome();
  // @ts-expect-error mail has no token
  expect(() => expectEnqueued(client, mail, { token: "t" })).toThrow("found none");
});
