import { type AcceptedRequest, createWebhookStore, type Ledger, type NewOutboxEvent, newId } from "@warren/ledger";
import { describe, expect, test } from "vitest";
import { aJob, openLedgerWorld } from "../support/ledger-world.ts";

function storeOn(ledger: Ledger, ready: { readonly id: string; readonly queue: string }[] = []) {
  return createWebhookStore({ ledger, newId, onJobs: (jobs) => ready.push(...jobs) });
}

function aRequest(dedupeKey: string, more: Partial<AcceptedRequest> = {}): AcceptedRequest {
  return {
    id: newId(),
    source: "shop",
    provider: "hmac",
    method: "POST",
    url: "/webhooks/shop",
    rawHeaders: ["Host", "x"],
    peerAddress: "192.0.2.1",
    clientAddress: undefined,
    correlationId: "test",
    body: Buffer.from(`body of ${dedupeKey}`),
    dedupeKey,
    eventId: undefined,
    eventType: undefined,
    jobs: [],
    ...more,
  };
}

function anEvent(eventId: string, more: Partial<NewOutboxEvent> = {}): NewOutboxEvent {
  return { eventId, type: "shop.paid", headers: { cloudEvents_id: eventId }, body: '{"text":"\\u0000"}', ...more };
}

const unique = (key: string) => ({ key, until: "finished", onConflict: "ignore" }) as const;

async function requestsOf(ledger: Ledger) {
  const { rows } = await ledger.query(`select * from ${ledger.table("webhook_requests")} order by id`, []);
  return new Map(rows.map((row) => [String(row["dedupe_key"]), row]));
}

async function jobsOf(ledger: Ledger) {
  return (await ledger.query(`select * from ${ledger.table("jobs")} order by id`, [])).rows;
}

async function outboxOf(ledger: Ledger) {
  return (await ledger.query(`select * from ${ledger.table("event_outbox")} order by position`, [])).rows;
}

function full(key: string): AcceptedRequest {
  return aRequest(key, {
    jobs: [
      aJob({ limitKey: "tenant-1", sendBy: "enqueuer" }),
      aJob({ name: "test.unique", unique: unique("u-1"), sendBy: "enqueuer" }),
      aJob({ name: "test.named", key: `order-${key}`, queue: "other", sendBy: "enqueuer" }),
      aJob({ delayMs: 60_000, attributes: { total: 3 } }),
    ],
    events: [anEvent(`e-${key}`), anEvent(`o-${key}`, { orderingKey: "shop-1" })],
    routes: [
      { rule: "one", made: "job", job: 0 },
      { rule: "two", made: "delivery", job: 2 },
      { rule: "three", made: "event", event: 1 },
      { rule: "four", failed: { code: "SOME_CODE", message: "why" } },
    ],
  });
}

describe("a webhook whose rules make more than plain jobs", () => {
  test("keeps jobs of every kind, events and what each rule did with one commit, and nothing of a duplicate", async () => {
    await using world = await openLedgerWorld();
    const { ledger } = world;
    const ready: { readonly id: string; readonly queue: string }[] = [];
    const store = storeOn(ledger, ready);
    const sent = ["a", "b", "a"].map(full);
    expect(await Promise.all(sent.map((one) => store.accept(one)))).toEqual(["accepted", "accepted", "duplicate"]);

    const jobs = await jobsOf(ledger);
    expect(jobs.map((job) => String(job["name"])).sort()).toEqual(
      ["test.job", "test.job", "test.job", "test.job", "test.named", "test.named", "test.unique"].sort(),
    );
    expect(jobs.filter((job) => job["limit_key"] === "tenant-1")).toHaveLength(2);
    const holder = jobs.find((job) => job["name"] === "test.unique")?.["id"];
    const rows = await requestsOf(ledger);
    for (const key of ["a", "b"]) {
      const row = (
        await ledger.query(
          `select * from ${ledger.table("webhook_requests")} where dedupe_key = $1 and status = 'accepted'`,
          [key],
        )
      ).rows[0];
      const ids = row?.["job_ids"] as readonly string[];
      expect(ids).toHaveLength(4);
      // a unique job that was there already is what the request names
      expect(ids[1]).toBe(holder);
      const named = jobs.find((job) => job["job_key"] === `order-${key}`)?.["id"];
      expect(row).toMatchObject({
        routing: "failed",
        body: Buffer.from(`body of ${key}`),
        routes: [
          { rule: "one", made: "job", id: ids[0] },
          { rule: "two", made: "delivery", id: named },
          { rule: "three", made: "event", id: `o-${key}` },
          { rule: "four", failed: { code: "SOME_CODE", message: "why" } },
        ],
      });
    }
    expect(rows.get("a")).toMatchObject({ status: "duplicate", job_ids: [], routing: null, routes: null });
    expect((await outboxOf(ledger)).map((event) => String(event["event_id"])).sort()).toEqual([
      "e-a",
      "e-b",
      "o-a",
      "o-b",
    ]);
    // told of: those that are ready and were made, once
    const readyJobs = jobs.filter((job) => job["state"] === "ready").map((job) => String(job["id"]));
    expect(ready.map(({ id }) => id).sort()).toEqual(readyJobs.sort());
  });

  test("is marked when nothing came of it, by either way, and not when something did", async () => {
    await using world = await openLedgerWorld();
    const store = storeOn(world.ledger);
    await Promise.all([
      store.accept(aRequest("plain-none")),
      store.accept(aRequest("plain-some", { jobs: [aJob()] })),
      store.accept(aRequest("routed-none", { routes: [] })),
      store.accept(aRequest("routed-event", { routes: [], events: [anEvent("e-1")] })),
      store.accept(aRequest("failed", { routes: [{ rule: "r", failed: { code: "C", message: "m" } }] })),
    ]);
    const rows = await requestsOf(world.ledger);
    expect(Object.fromEntries([...rows].map(([key, row]) => [key, row["routing"]]))).toEqual({
      "plain-none": "unmatched",
      "plain-some": null,
      "routed-none": "unmatched",
      "routed-event": null,
      failed: "failed",
    });
    await store.accept(aRequest("plain-none"));
    const again = await world.ledger.query(
      `select routing from ${world.ledger.table("webhook_requests")} where status = 'duplicate'`,
      [],
    );
    expect(again.rows).toEqual([{ routing: null }]);
  });

  test("leaves nothing behind when one of its jobs cannot be stored, and its neighbours alone", async () => {
    await using world = await openLedgerWorld();
    const { ledger } = world;
    const store = storeOn(ledger);
    const bad = aRequest("bad", {
      jobs: [aJob({ limitKey: "k", payload: { text: "\u0000" } })],
      events: [anEvent("bad")],
    });
    const good = ["a", "b"].map((key) => aRequest(key, { jobs: [aJob({ limitKey: key })], events: [anEvent(key)] }));
    const answers = await Promise.allSettled([good[0]!, bad, good[1]!].map((one) => store.accept(one)));
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect((await outboxOf(ledger)).map((event) => String(event["event_id"])).sort()).toEqual(["a", "b"]);
    expect(await store.accept(aRequest("bad"))).toBe("accepted");
    expect(await jobsOf(ledger)).toHaveLength(2);
  });

  test("never deadlocks with others of the same keys in other orders, and each unique key is one job", async () => {
    await using world = await openLedgerWorld();
    const stores = [storeOn(world.ledger), storeOn(await world.openAnother()), storeOn(await world.openAnother())];
    const keys = Array.from({ length: 120 }, (_, at) => `key-${at}`);
    const sends = stores.flatMap((store, at) =>
      (at % 2 === 0 ? keys : keys.toReversed()).map((key, index) =>
        store.accept(
          aRequest(key, {
            jobs: [
              aJob({ name: "test.unique", unique: unique(`u-${(index + at) % 7}`) }),
              aJob({ name: "test.named", key: `n-${index % 11}` }),
            ],
            events: [anEvent(`e-${key}`, { orderingKey: `o-${index % 5}` })],
          }),
        ),
      ),
    );
    const answers = await Promise.all(sends);
    expect(answers.filter((answer) => answer === "accepted")).toHaveLength(keys.length);
    const names = Map.groupBy(await jobsOf(world.ledger), (job) => String(job["name"]));
    expect(names.get("test.unique")).toHaveLength(7);
    expect(names.get("test.named")).toHaveLength(11);
    expect(await outboxOf(world.ledger)).toHaveLength(keys.length);
  });
});
