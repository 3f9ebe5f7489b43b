import { expect, test } from "vitest";
import { openBench } from "../fixture.ts";
import { declareLimits, enqueueFor, hold } from "./limits.ts";

test("limits are declared by code, changed at run time, and hold for what is enqueued", async () => {
  await using bench = await openBench();
  const { ledger, client } = bench;
  const limits = await declareLimits(ledger);
  expect(await limits.get("mails")).toMatchObject({
    policy: { concurrency: 20, rate: { limit: 10, perMs: 60_000, burst: 1 }, keyConcurrency: 2 },
    keys: [{ key: "acme", concurrency: 5, paused: false }],
  });
  await declareLimits(ledger);
  const { id } = await enqueueFor(client, "acme", "a@example.com");
  expect(await limits.changePriority(id, 7)).toEqual({ kind: "changed" });
  expect(await ledger.findJob(id)).toMatchObject({ state: "ready", priority: 7, limitKey: "acme" });
  await hold(ledger, "acme");
  expect((await limits.get("mails"))?.keys).toEqual([{ key: "acme", concurrency: 5, paused: true }]);
  await limits.resume("mails", { key: "acme" });
  await limits.clear("mails");
  expect(await limits.list()).toEqual([]);
});
