import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "@warren/testing";
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

const running = (): Promise<boolean> =>
  waitFor(async () => ((await platform.states())["running"] ?? 0) > 0, { what: "a running job", timeoutMs: 120_000 });

test("SIGTERM under load: the worker finishes what it runs, hands back the rest, and no attempt is lost", async () => {
  await platform.start("dispatcher");
  const leaving = await platform.start("worker");
  const load = startLoad(platform, { perSecond: 100, takesMs: 100 });
  await waitFor(async () => (await platform.effects.count()) > 50, { what: "work under way", timeoutMs: 120_000 });
  await platform.start("worker");
  const at = performance.now();
  const exit = await leaving.terminate();
  const stopMs = performance.now() - at;
  await sleep(500);
  const promised = await load.stop();
  await expectExactlyOnce(platform, promised);
  const { rows } = await platform.effects.pool.query<{ burnt: string }>(
    "select count(*) as burnt from warren.jobs_history where attempt - excused > 1 or stalls > 0",
  );
  report("SIGTERM under load", { jobs: promised, stopMs, attemptsBurnt: Number(rows[0]?.burnt) });
  expect(exit.code).toBe(0);
  expect(rows[0]?.burnt).toBe("0");
});

test("a worker suspended past its lease comes back fenced: its completion is refused, and each effect is there once", async () => {
  await platform.start("dispatcher");
  const suspended = await platform.start("worker");
  for (let number = 0; number < 5; number++) await platform.client.enqueue(exact, { number, takesMs: 8_000 });
  await running();
  suspended.pause();
  const at = performance.now();
  // elsewhere they are short; here they end while it is suspended
  await platform.effects.pool.query(`update warren.jobs set payload = jsonb_set(payload, '{takesMs}', '1')`);
  await platform.start("worker");
  await expectExactlyOnce(platform, 5);
  const recoveryMs = performance.now() - at;
  suspended.resume();
  await suspended.waitForRecord((record) => /fenced|lease lost/i.test(String(record["msg"])));
  await sleep(1_500);
  await expectExactlyOnce(platform, 5);
  expect((await platform.states())["succeeded"]).toBe(5);
  await platform.client.enqueue(exact, { number: 99, takesMs: 1 });
  await waitFor(async () => (await platform.effects.count()) === 6, {
    what: "the fenced worker or the other to go on",
    timeoutMs: 120_000,
  });
  report("worker suspended past its lease", { recoveryMs });
  // the promise is 20 s; a busy machine takes longer, and a second lease would take 30
  expect(recoveryMs).toBeLessThan(28_000);
});
