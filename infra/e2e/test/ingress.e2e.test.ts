import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { exact } from "../src/jobs.ts";
import { startLoad } from "../src/load.ts";
import { type Platform, startPlatform } from "../src/platform.ts";
import { expectExactlyOnce, report } from "../src/verdict.ts";
import { each, githubWebhook, send } from "../src/webhooks.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await startPlatform();
});
afterEach(() => platform[Symbol.asyncDispose]());

const count = async (text: string, values: readonly unknown[] = []): Promise<number> => {
  const { rows } = await platform.effects.pool.query<{ value: string }>(text, [...values]);
  return Number(rows[0]?.value);
};
const jobs = (): Promise<number> =>
  count("select (select count(*) from warren.jobs) + (select count(*) from warren.jobs_history) as value");
const accepted = (): Promise<number> =>
  count("select count(*) as value from warren.webhook_requests where status = 'accepted'");

test("1,000 webhooks, each sent three times at once to two ingress instances, become 1,000 jobs and 1,000 mails", async () => {
  const [one, two] = await Promise.all([platform.start("ingress"), platform.start("ingress")]);
  await platform.start("dispatcher");
  await platform.start("notifications");
  const webhooks = Array.from({ length: 1_000 }, (_, number) => githubWebhook(number));
  const statuses: (number | undefined)[] = [];
  await each(webhooks, 16, async (webhook) => {
    const urls = [one.url, two.url, one.url];
    statuses.push(...(await Promise.all(urls.map((url) => send(url, webhook)))));
  });
  expect(new Set(statuses.map((status) => Math.floor((status ?? 0) / 100)))).toEqual(new Set([2]));
  expect(await jobs()).toBe(1_000);
  expect(await accepted()).toBe(1_000);
  await waitFor(() => platform.mail.counts().messages >= 1_000, { what: "1,000 mails", timeoutMs: 120_000 });
  await waitFor(async () => (await platform.states())["succeeded"] === 1_000, {
    what: "all jobs settled",
    timeoutMs: 120_000,
  });
  expect(platform.mail.counts()).toMatchObject({ messages: 1_000, uniqueMessageIds: 1_000 });
  report("1,000 webhooks three times", {
    requests: statuses.length,
    jobs: 1_000,
    mails: platform.mail.counts().messages,
  });
});

test("an ingress killed under load: every request that was answered 2xx is there after", async () => {
  const victim = await platform.start("ingress");
  const survivor = await platform.start("ingress");
  await platform.start("dispatcher");
  await platform.start("notifications");
  const webhooks = Array.from({ length: 2_000 }, (_, number) => githubWebhook(number));
  const answered: string[] = [];
  let unanswered = 0;
  let sent = 0;
  await each(webhooks, 24, async (webhook) => {
    sent += 1;
    if (sent === 700) await victim.kill();
    const first = await send(victim.url, webhook);
    if (first !== undefined && first < 300) {
      answered.push(webhook.deliveryId);
      return;
    }
    unanswered += 1;
    // as a provider would: the same delivery again, elsewhere
    const again = await send(survivor.url, webhook);
    if (again !== undefined && again < 300) answered.push(webhook.deliveryId);
  });
  expect(unanswered).toBeGreaterThan(0);
  expect(answered.length).toBe(2_000);
  const there = await count(
    "select count(distinct dedupe_key) as value from warren.webhook_requests where status = 'accepted' and dedupe_key = any($1)",
    [answered],
  );
  expect(there).toBe(2_000);
  await waitFor(async () => (await platform.states())["succeeded"] === 2_000, {
    what: "2,000 jobs",
    timeoutMs: 120_000,
  });
  expect(platform.mail.counts()).toMatchObject({ messages: 2_000, uniqueMessageIds: 2_000 });
  report("ingress killed under load", { answered: answered.length, unanswered, jobs: await jobs() });
});

test("the dispatcher killed: direct queues go on, and another one takes over within 5 s", async () => {
  const victim = await platform.start("dispatcher");
  await platform.start("dispatcher");
  await platform.start("worker");
  const load = startLoad(platform, { perSecond: 100, takesMs: 5 });
  await waitFor(async () => (await platform.effects.count()) > 100, { what: "work under way", timeoutMs: 120_000 });
  await victim.kill();
  const killedAt = performance.now();
  const { id } = await platform.client.enqueue(exact, { number: 2_000_000, takesMs: 1 }, { delayMs: 500 });
  await waitFor(async () => (await platform.ledger.findJob(id))?.state === "succeeded", {
    what: "a due job",
    timeoutMs: 120_000,
  });
  const takeoverMs = performance.now() - killedAt - 500;
  const promised = await load.stop();
  await expectExactlyOnce(platform, promised + 1);
  report("dispatcher killed", { jobs: promised + 1, takeoverMs, longestGapMs: await platform.effects.longestGapMs() });
  // the promise is 5 s; what a dispatcher took and did not send is free after ten
  expect(takeoverMs).toBeLessThan(9_000);
});

test("Postgres restarted under load: ingress answers 503 and recovers by itself, handlers settle after it is back", async () => {
  const ingress = await platform.start("ingress");
  await platform.start("dispatcher");
  await platform.start("worker");
  await platform.start("notifications");
  const load = startLoad(platform, { perSecond: 50, takesMs: 50 });
  await waitFor(async () => (await platform.effects.count()) > 50, { what: "work under way", timeoutMs: 120_000 });
  const webhooks = Array.from({ length: 600 }, (_, number) => githubWebhook(number));
  const statuses = new Map<number | undefined, number>();
  let restarting: Promise<number> | undefined;
  const outage = async (): Promise<number> => {
    await platform.database.stop();
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await platform.database.start();
    return performance.now();
  };
  let sent = 0;
  await each(webhooks, 8, async (webhook) => {
    sent += 1;
    if (sent === 200) restarting = outage();
    for (;;) {
      const status = await send(ingress.url, webhook);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status !== undefined && status < 300) return;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  });
  const backAt = (await restarting) ?? 0;
  const recoveredMs = performance.now() - backAt;
  const promised = await load.stop();
  await expectExactlyOnce(platform, promised);
  await waitFor(() => platform.mail.counts().uniqueMessageIds >= 600, { what: "600 mails", timeoutMs: 120_000 });
  report("Postgres restarted", {
    jobs: promised,
    webhooks: 600,
    answers: JSON.stringify(Object.fromEntries(statuses)),
    recoveredMs,
    mails: platform.mail.counts().messages,
  });
  expect([...statuses.keys()].filter((status) => status !== undefined && status >= 400 && status < 500)).toEqual([]);
  expect(statuses.get(503) ?? 0).toBeGreaterThan(0);
  expect(await accepted()).toBe(600);
  expect(platform.mail.counts().uniqueMessageIds).toBe(600);
});
