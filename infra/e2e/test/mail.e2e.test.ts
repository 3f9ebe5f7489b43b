import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { exact } from "../src/jobs.ts";
import { type Platform, startPlatform } from "../src/platform.ts";
import { report } from "../src/verdict.ts";
import { each, githubWebhook, send } from "../src/webhooks.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await startPlatform();
});
afterEach(() => platform[Symbol.asyncDispose]());

const mails = (wanted: number, timeoutMs: number): Promise<boolean> =>
  waitFor(() => platform.mail.counts().messages >= wanted, { what: `${wanted} mails`, timeoutMs });

async function accept(url: string, webhooks: number): Promise<void> {
  await each(
    Array.from({ length: webhooks }, (_, number) => githubWebhook(number)),
    8,
    async (webhook) => {
      expect(await send(url, webhook)).toBeLessThan(300);
    },
  );
}

test("SMTP down for a while: the breaker opens, jobs are held without burning attempts, and all are sent after", async () => {
  const ingress = await platform.start("ingress");
  await platform.start("dispatcher");
  await platform.start("notifications");
  await accept(ingress.url, 20);
  await mails(20, 120_000);
  await platform.mail.setFault({ kind: "down" });
  await accept(ingress.url, 200);
  await waitFor(
    async () =>
      (await platform.ledger.breakers()).some(({ name, state }) => name === "smtp:send" && state.kind !== "closed"),
    {
      what: "the breaker to open",
      timeoutMs: 120_000,
    },
  );
  await sleep(5_000);
  expect(platform.mail.counts().messages).toBe(20);
  await platform.mail.setFault({ kind: "none" });
  const backAt = performance.now();
  await mails(220, 120_000);
  await waitFor(async () => (await platform.states())["succeeded"] === 220, {
    what: "all jobs settled",
    timeoutMs: 120_000,
  });
  expect(platform.mail.counts()).toMatchObject({ messages: 220, uniqueMessageIds: 220 });
  const { rows } = await platform.effects.pool.query<{ spent: number; jobs: string }>(
    "select attempt - excused as spent, count(*) as jobs from warren.jobs_history group by 1 order by 1",
  );
  const burnt = rows.filter(({ spent }) => spent > 1).reduce((sum, { jobs }) => sum + Number(jobs), 0);
  report("SMTP down", { mails: 220, allSentMs: performance.now() - backAt, jobsThatSpentMoreThanOneAttempt: burnt });
  // those that met the dead server before the breaker opened (3 failures in a row, 10 connections at once) may have failed once
  expect(burnt).toBeLessThanOrEqual(40);
  expect(Math.max(...rows.map(({ spent }) => spent))).toBeLessThanOrEqual(3);
});

test("SMTP slow: mails arrive late, none is lost or doubled, and other queues do not wait", async () => {
  const ingress = await platform.start("ingress");
  await platform.start("dispatcher");
  await platform.start("notifications");
  await platform.start("worker");
  await platform.mail.setFault({ kind: "slow", delayMs: 1_500 });
  const at = performance.now();
  await accept(ingress.url, 60);
  const acceptedMs = performance.now() - at;
  for (let number = 0; number < 50; number++) await platform.client.enqueue(exact, { number, takesMs: 1 });
  await waitFor(async () => (await platform.effects.count()) === 50, { what: "the other queue", timeoutMs: 120_000 });
  const otherQueueMs = performance.now() - at;
  await mails(60, 120_000);
  const mailsMs = performance.now() - at;
  await platform.mail.setFault({ kind: "none" });
  await waitFor(async () => (await platform.states())["succeeded"] === 110, {
    what: "all jobs settled",
    timeoutMs: 120_000,
  });
  expect(platform.mail.counts()).toMatchObject({ messages: 60, uniqueMessageIds: 60 });
  report("SMTP slow", { mails: 60, acceptedMs, otherQueueMs, mailsMs });
});
