import { createWorld } from "@warren/testing";
import { expect, test } from "vitest";
import { githubHeaders, post, prepare, startIngress } from "./fixture.ts";

const burst = 40;
const perSecond = 0.5;
const github = (rateLimit: object | undefined) => ({ provider: "github", secrets: ["s3cret"], rateLimit });

test("a source's rate limit holds over all processes: burst and rate together, never one each", async () => {
  await using world = await createWorld();
  await prepare(world);
  const sources = {
    limited: github({ perSecond, burst }),
    other: github({ perSecond: 0.001, burst: 1 }),
    free: github(undefined),
  };
  await using first = await startIngress(world, { sources });
  await using second = await startIngress(world, { sources });
  const send = (to: typeof first, source: string, id: string) =>
    post(to, source, githubHeaders("{}", id, "s3cret"), "{}");

  const beganAt = performance.now();
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, at) => [
      send(first, "limited", `a-${at}`),
      send(second, "limited", `b-${at}`),
    ]).flat(),
  );
  const flowedIn = ((performance.now() - beganAt) / 1_000) * perSecond;
  const taken = answers.filter(({ status }) => status === 202).length;
  expect(taken).toBeGreaterThanOrEqual(burst);
  expect(taken).toBeLessThanOrEqual(burst + flowedIn);
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(answers.length - taken);
  for (const { body, headers } of refused) {
    expect([body["code"], headers.get("retry-after")]).toEqual([
      "WEBHOOK_RATE_LIMITED",
      expect.stringMatching(/^[12]$/),
    ]);
  }

  // other buckets are their own, forged webhooks take nothing, and without a limit nothing is counted
  expect((await post(first, "other", githubHeaders("{}", "c-1", "forged"), "{}")).status).toBe(401);
  expect([(await send(first, "other", "c-1")).status, (await send(second, "free", "c-1")).status]).toEqual([202, 202]);
  const { rows } = await first.ledger.query(
    `select source from ${first.ledger.table("webhook_source_buckets")} order by source`,
    [],
  );
  expect(rows.map(({ source }) => source)).toEqual(["limited", "other"]);

  // what has flowed in since is there for either: an hour fills the bucket and no more
  await first.ledger.query(
    `update ${first.ledger.table("webhook_source_buckets")} set filled_at = filled_at - interval '1 hour' where source = 'other'`,
    [],
  );
  expect((await send(second, "other", "c-2")).status).toBe(202);
  expect((await send(second, "other", "c-3")).status).toBe(429);
});
