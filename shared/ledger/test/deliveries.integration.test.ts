import { createLogger } from "@warren/observability";
import { createWorld, type World } from "@warren/testing";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDeliveries, type Deliveries, type NewDelivery, verdictOf } from "../src/deliveries/deliveries.ts";
import type { Ledger } from "../src/ledger.ts";
import { openLedger } from "../src/open-ledger.ts";
import { migrate } from "../src/postgres/migrations.ts";

const log = createLogger({ service: "test", level: "silent" });
let world: World;
let ledger: Ledger;
let deliveries: Deliveries;

beforeAll(async () => {
  world = await createWorld();
  await migrate({ connectionString: world.databaseUrl, log });
  ledger = await openLedger({ connectionString: world.databaseUrl, log });
  deliveries = createDeliveries(ledger);
});

afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

function attempt(number: number, fields: Partial<NewDelivery> = {}): NewDelivery {
  const jobId = fields.jobId ?? v7();
  return {
    jobId,
    channel: "email",
    attempt: number,
    policy: "resend",
    template: "welcome",
    templateVersion: 2,
    locale: "en",
    provider: "smtp",
    recipient: "a***@e***.com",
    recipientHash: Buffer.alloc(32, 7),
    messageId: `<${jobId}.email@example.com>`,
    correlationId: "correlation",
    ...fields,
  };
}

const again = (delivery: NewDelivery, number: number, fields: Partial<NewDelivery> = {}) =>
  deliveries.begin({ ...delivery, attempt: number, ...fields });

function settle(
  delivery: NewDelivery,
  outcome: "accepted" | "rejected" | "deferred" | "unknown",
  number = delivery.attempt,
) {
  return deliveries.settle({
    jobId: delivery.jobId,
    channel: delivery.channel,
    attempt: number,
    outcome,
    ...(outcome === "accepted"
      ? { providerId: "queue-1", response: "250 queued as queue-1" }
      : { reason: "SOME_CODE" }),
  });
}

async function row(delivery: NewDelivery) {
  const [found] = await deliveries.ofJob(delivery.jobId);
  return found;
}

describe("a delivery is written before the provider is called, and settled after", () => {
  test("first sending, then accepted with the provider's id and answer", async () => {
    const delivery = attempt(1);
    expect(await deliveries.begin(delivery)).toEqual({ kind: "send", tries: 1, doubts: 0, doubted: false });
    expect(await row(delivery)).toMatchObject({ state: "sending", settledAt: undefined });
    expect(await settle(delivery, "accepted")).toBe("applied");
    expect(await row(delivery)).toMatchObject({
      state: "accepted",
      providerId: "queue-1",
      response: "250 queued as queue-1",
      recipient: "a***@e***.com",
      template: "welcome",
      templateVersion: 2,
      correlationId: "correlation",
      tries: 1,
      log: [{ attempt: 1, outcome: "accepted" }],
    });
  });

  test("settling again is harmless", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    await settle(delivery, "accepted");
    expect(await settle(delivery, "accepted")).toBe("already");
    expect((await row(delivery))?.log).toHaveLength(1);
  });

  test("an answer is kept up to 1,000 characters, and U+0000 does not break it", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    await deliveries.settle({ ...delivery, outcome: "rejected", response: `\u0000${"x".repeat(5_000)}` });
    expect((await row(delivery))?.response).toHaveLength(1_000);
  });
});

describe("a job that runs again", () => {
  test("after an accepted delivery does not send", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    await settle(delivery, "accepted");
    expect(await again(delivery, 2)).toMatchObject({ kind: "accepted_before", providerId: "queue-1" });
    expect(await row(delivery)).toMatchObject({ state: "accepted", attempt: 1, tries: 1 });
  });

  test("after a rejected delivery does not send", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    await settle(delivery, "rejected");
    expect(await again(delivery, 2)).toMatchObject({ kind: "rejected_before" });
  });

  test("after a deferred delivery sends, without doubt", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    await settle(delivery, "deferred");
    expect(await again(delivery, 2)).toEqual({ kind: "send", tries: 2, doubts: 0, doubted: false });
  });

  test.for([
    { policy: "resend", verdict: { kind: "send", tries: 2, doubts: 1, doubted: true }, state: "sending" },
    { policy: "hold", verdict: { kind: "held", doubted: true }, state: "unknown" },
    { policy: "give_up", verdict: { kind: "given_up", doubted: true }, state: "given_up" },
  ] as const)("after an attempt that died between sending and settling goes by the policy: $policy", async (one) => {
    const delivery = attempt(1, { policy: one.policy });
    await deliveries.begin(delivery);
    expect(await again(delivery, 2)).toEqual(one.verdict);
    expect(await row(delivery)).toMatchObject({
      state: one.state,
      doubts: 1,
      log: [{ attempt: 1, outcome: "unknown", reason: "ATTEMPT_LOST" }],
    });
  });

  test.for([
    { policy: "resend", kind: "send" },
    { policy: "hold", kind: "held" },
    { policy: "give_up", kind: "given_up" },
  ] as const)("after an unknown outcome goes by the policy: $policy", async ({ policy, kind }) => {
    const delivery = attempt(1, { policy });
    await deliveries.begin(delivery);
    expect(await settle(delivery, "unknown")).toBe("applied");
    expect(await again(delivery, 2)).toMatchObject({ kind, doubted: false });
    expect(await row(delivery)).toMatchObject({ doubts: 1 });
  });

  test("keeps the message id of the first try", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    await again(delivery, 2, { messageId: "<another@example.com>" });
    expect(await row(delivery)).toMatchObject({ messageId: delivery.messageId });
  });
});

describe("of two attempts of one job the newer one owns the delivery", () => {
  test("the older one is refused, whether it begins or settles", async () => {
    const delivery = attempt(2);
    await deliveries.begin(delivery);
    expect(await again(delivery, 1)).toEqual({ kind: "fenced" });
    expect(await settle(delivery, "deferred", 1)).toBe("fenced");
    expect(await row(delivery)).toMatchObject({ state: "sending", attempt: 2 });
  });

  test("an older one's late acceptance is noted, and ends the matter if nothing is being sent", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    await again(delivery, 2);
    await settle(delivery, "deferred", 2);
    expect(await settle(delivery, "accepted", 1)).toBe("late");
    expect(await row(delivery)).toMatchObject({ state: "accepted" });
    expect(await again(delivery, 3)).toMatchObject({ kind: "accepted_before" });
  });

  test("an older one's late acceptance does not settle the newer one's try", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    await again(delivery, 2);
    expect(await settle(delivery, "accepted", 1)).toBe("late");
    expect(await row(delivery)).toMatchObject({ state: "sending", attempt: 2 });
    expect(await settle(delivery, "deferred", 2)).toBe("applied");
  });

  test("of twenty at once exactly one may send, and no neighbour in the batch is harmed", async () => {
    const delivery = attempt(1);
    const neighbours = Array.from({ length: 20 }, () => attempt(1));
    const [verdicts, others] = await Promise.all([
      Promise.all(neighbours.map((_, index) => again(delivery, index + 1, { policy: "hold" }))),
      Promise.all(neighbours.map((one) => deliveries.begin(one))),
    ]);
    expect(verdicts.filter(({ kind }) => kind === "send")).toHaveLength(1);
    expect(others.every(({ kind }) => kind === "send")).toBe(true);
  });
});

describe("a person decides about what nobody knows", () => {
  test.for([
    { as: "accepted", kind: "accepted_before" },
    { as: "deferred", kind: "send" },
  ] as const)("resolved as $as, the next attempt is $kind", async ({ as, kind }) => {
    const delivery = attempt(1, { policy: "hold" });
    await deliveries.begin(delivery);
    await settle(delivery, "unknown");
    expect(await deliveries.resolve(delivery.jobId, "email", as)).toBe(true);
    expect(await again(delivery, 2)).toMatchObject({ kind });
  });

  test("there is nothing to decide about a delivery that is known", async () => {
    const delivery = attempt(1);
    await deliveries.begin(delivery);
    expect(await deliveries.resolve(delivery.jobId, "email", "accepted")).toBe(false);
  });
});

test("the log of a delivery keeps its last ten tries", async () => {
  const delivery = attempt(1);
  for (let number = 1; number <= 14; number += 1) {
    await again(delivery, number);
    await settle(delivery, "deferred", number);
  }
  const found = await row(delivery);
  expect(found?.tries).toBe(14);
  expect(found?.log.map((entry) => entry.attempt)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
});

const today = () => `warren.deliveries_${new Date().toISOString().slice(0, 10).replaceAll("-", "")}`;

test("today's deliveries lie in today's partition, and days past retention are dropped", async () => {
  const delivery = attempt(1);
  const before = today();
  await deliveries.begin(delivery);
  const days = [before, today()];
  const { rows } = await ledger.query(
    `select tableoid::regclass::text as partition from ${ledger.table("deliveries")} where job_id = $1`,
    [delivery.jobId],
  );
  expect(days).toContain(rows[0]?.partition);

  const old = new Date(Date.now() - 40 * 86_400_000);
  const oldJob = v7({ msecs: old.getTime() });
  await deliveries.begin(attempt(1, { jobId: oldJob }));
  await ledger.query(`update ${ledger.table("deliveries")} set started_at = $2 where job_id = $1`, [oldJob, old]);
  await ledger.maintainPartitions({ retentionDays: 30 });
  expect(await deliveries.ofJob(oldJob)).toEqual([]);
  expect(await deliveries.ofJob(delivery.jobId)).toHaveLength(1);
});

test("every state of a row has a verdict for every attempt", () => {
  for (const state of ["sending", "accepted", "rejected", "deferred", "unknown", "given_up"]) {
    for (const number of [1, 2, 3]) {
      expect(verdictOf(number, { state, attempt: 2, tries: 1, doubts: 0 })).toHaveProperty("kind");
    }
  }
});
