import { setTimeout as sleep } from "node:timers/promises";
import { deadQueue, jobQueue, jobsExchange } from "@warren/amqp";
import { startTcpProxy, waitFor } from "@warren/testing";
import { connect } from "amqplib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { exact } from "../src/jobs.ts";
import { startLoad } from "../src/load.ts";
import { type Platform, startPlatform } from "../src/platform.ts";
import { expectExactlyOnce, report } from "../src/verdict.ts";

let platform: Platform;
beforeEach(async () => {
  platform = await startPlatform();
});
afterEach(() => platform[Symbol.asyncDispose]());

const effectsPast = (count: number, what: string, timeoutMs = 120_000): Promise<boolean> =>
  waitFor(async () => (await platform.effects.count()) > count, { what, timeoutMs, intervalMs: 25 });

test("the broker killed and restarted under load: enqueuing goes on, nothing is lost, work resumes within 10 s of its return", async () => {
  await platform.start("dispatcher");
  await platform.start("worker");
  const load = startLoad(platform, { perSecond: 100, takesMs: 5 });
  await effectsPast(100, "work under way");
  await platform.broker.kill();
  await sleep(2_000);
  const during = await platform.client.enqueue(exact, { number: 1_000_000, takesMs: 1 });
  expect(during.created).toBe(true);
  await platform.broker.start();
  const backAt = performance.now();
  await effectsPast(await platform.effects.count(), "work to resume");
  const resumedMs = performance.now() - backAt;
  await sleep(2_000);
  const promised = await load.stop();
  await expectExactlyOnce(platform, promised + 1);
  report("broker killed and restarted", { jobs: promised + 1, resumedMs, allDoneMs: performance.now() - backAt });
  // a busy machine takes longer to start a broker's queues; heartbeats, or no reconnect, would take longer than that
  expect(resumedMs).toBeLessThan(20_000);
});

test("a memory alarm blocks publishers: enqueuing goes on, and all is delivered after the alarm", async () => {
  await platform.start("dispatcher");
  await platform.start("worker");
  const load = startLoad(platform, { perSecond: 100, takesMs: 5 });
  await effectsPast(50, "work under way");
  await platform.broker.memoryAlarm(true);
  await waitFor(() => platform.session.state().publish.kind === "blocked", {
    what: "the producer to be told that it is blocked",
    timeoutMs: 120_000,
  });
  await sleep(3_000);
  await platform.broker.memoryAlarm(false);
  const clearedAt = performance.now();
  await sleep(1_000);
  const promised = await load.stop();
  await expectExactlyOnce(platform, promised);
  expect((await platform.states())["succeeded"]).toBe(promised);
  report("memory alarm", { jobs: promised, allDoneMs: performance.now() - clearedAt });
});

test("TCP between a worker and the broker is cut, then goes half-open: nothing lost, nothing doubled", async () => {
  await using proxy = await startTcpProxy({ targetPort: platform.broker.amqpPort });
  await platform.start("dispatcher");
  await platform.start("worker", { AMQP_URL: proxy.through(platform.broker.amqpUrl) });
  const load = startLoad(platform, { perSecond: 100, takesMs: 5 });
  await effectsPast(100, "work under way");
  proxy.cut();
  const cutAt = performance.now();
  const before = await platform.effects.count();
  await effectsPast(before + 20, "work after the cut");
  const afterCutMs = performance.now() - cutAt;
  proxy.blackhole();
  await sleep(25_000);
  await proxy.heal();
  const healedAt = performance.now();
  await effectsPast((await platform.effects.count()) + 20, "work after the half-open connection");
  const afterHalfOpenMs = performance.now() - healedAt;
  const promised = await load.stop();
  await expectExactlyOnce(platform, promised);
  report("TCP cut, then half-open for 25 s", { jobs: promised, afterCutMs, afterHalfOpenMs });
  expect(afterCutMs).toBeLessThan(10_000);
  expect(afterHalfOpenMs).toBeLessThan(10_000);
});

test("a message that is not ours is set aside with its reason, and the queue goes on", async () => {
  await platform.start("dispatcher");
  await platform.start("worker");
  const connection = await connect(platform.broker.amqpUrl);
  const channel = await connection.createConfirmChannel();
  for (const body of ["not json", '{"v":1,"jobs":["not-an-id"]}', '{"v":9}', ""]) {
    channel.publish(jobsExchange, "e2e", Buffer.from(body), { persistent: true, messageId: `foreign-${body.length}` });
  }
  await channel.waitForConfirms();
  await connection.close();
  for (let number = 0; number < 20; number++) await platform.client.enqueue(exact, { number, takesMs: 1 });
  await expectExactlyOnce(platform, 20);
  const letters = await waitFor(
    async () => {
      const { rows } = await platform.effects.pool.query<{ queue: string; reason: string }>(
        "select queue, reason from warren.dead_letters",
      );
      return rows.length >= 4 ? rows : undefined;
    },
    { what: "four dead letters", timeoutMs: 120_000 },
  );
  expect(letters.every(({ reason }) => reason.length > 0)).toBe(true);
  const management = await connect(platform.broker.amqpUrl);
  const probe = await management.createChannel();
  expect((await probe.checkQueue(jobQueue("e2e"))).messageCount).toBe(0);
  await waitFor(async () => (await probe.checkQueue(deadQueue("e2e"))).messageCount === 0, {
    what: "an empty dead queue",
    timeoutMs: 120_000,
  });
  await management.close();
  report("message that is not ours", { deadLetters: letters.length });
});
