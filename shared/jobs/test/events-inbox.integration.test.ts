import { eventsExchange } from "@warren/amqp";
import type { RunSql } from "@warren/ledger";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { subscribe } from "../src/events/subscribe.ts";
import { createSubscriber } from "../src/events/subscriber.ts";
import { type EventBench, openEventBench, orderCreated, shortLadderMs } from "./events-fixture.ts";

let bench: EventBench;
beforeEach(async () => {
  bench = await openEventBench();
  await bench.ledger.query("create table effects (event_id text, note text)", []);
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const inboxed = { service: "billing", name: "invoices", inbox: true, ladderMs: shortLadderMs };
const addEffect = (run: RunSql, id: string, note = "") => run("insert into effects values ($1, $2)", [id, note]);
const effects = async () => (await bench.ledger.query("select * from effects", [])).rows;
const outcome = (name: string) =>
  bench.metrics.value("warren_events_handled_total", { subscription: "billing.invoices", outcome: name });

test("a duplicate delivery has one effect: the inbox row commits with it, and the second delivery does not run", async () => {
  let runs = 0;
  await bench.subscriber([
    subscribe(orderCreated, inboxed, async (event) => {
      runs += 1;
      await bench.ledger.transaction(async (run) => {
        await addEffect(run, event.id);
        await event.complete(run);
      });
    }),
  ]);
  for (let copy = 0; copy < 3; copy += 1) {
    await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 }, { id: "event-1" });
    await waitFor(async () => ((await outcome("handled")) ?? 0) + ((await outcome("duplicate")) ?? 0) === copy + 1);
  }
  expect(runs).toBe(1);
  expect(await effects()).toEqual([{ event_id: "event-1", note: "" }]);
  expect(await outcome("duplicate")).toBe(2);
});

test("copies that run at the same moment have one effect: the later commit is refused and rolls back", async () => {
  const { promise: bothIn, resolve } = Promise.withResolvers<void>();
  let inside = 0;
  const refusals: unknown[] = [];
  await bench.subscriber([
    subscribe(orderCreated, inboxed, async (event) => {
      inside += 1;
      if (inside === 2) resolve();
      await bothIn;
      await bench.ledger
        .transaction(async (run) => {
          await addEffect(run, event.id);
          await event.complete(run);
        })
        .catch((error: unknown) => {
          refusals.push(error);
          throw error;
        });
    }),
  ]);
  const copies = [1, 2].map(() => bench.client.publish(orderCreated, { orderId: "o-1", total: 1 }, { id: "event-1" }));
  await Promise.all(copies);
  await waitFor(async () => (await outcome("handled")) === 1 && (await outcome("duplicate")) === 1);
  expect(await effects()).toHaveLength(1);
  expect(refusals).toMatchObject([{ code: "EVENT_HANDLED_BEFORE" }]);
});

test("each subscription has an inbox of its own", async () => {
  const handle = async (event: { id: string; complete: (run: RunSql) => Promise<void> }, note: string) =>
    bench.ledger.transaction(async (run) => {
      await addEffect(run, event.id, note);
      await event.complete(run);
    });
  await bench.subscriber([
    subscribe(orderCreated, inboxed, (event) => handle(event, "invoice")),
    subscribe(orderCreated, { ...inboxed, name: "receipts" }, (event) => handle(event, "receipt")),
  ]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(async () => (await effects()).length === 2);
  expect(new Set((await effects()).map(({ note }) => note))).toEqual(new Set(["invoice", "receipt"]));
});

test("a handler that fails after its effect leaves none, and the retry handles the event", async () => {
  await bench.subscriber([
    subscribe(orderCreated, inboxed, async (event) => {
      await bench.ledger.transaction(async (run) => {
        await addEffect(run, event.id, `attempt ${event.attempt}`);
        await event.complete(run);
        if (event.attempt === 1) throw new Error("after the effect");
      });
    }),
  ]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(async () => (await outcome("handled")) === 1);
  expect(await effects()).toMatchObject([{ note: "attempt 2" }]);
});

test("a rollback that the handler swallowed does not lose the event", async () => {
  await bench.subscriber([
    subscribe(orderCreated, inboxed, async (event) => {
      await bench.ledger
        .transaction(async (run) => {
          await addEffect(run, event.id, `attempt ${event.attempt}`);
          await event.complete(run);
          if (event.attempt === 1) throw new Error("rolled back");
        })
        .catch(() => undefined);
    }),
  ]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(async () => (await outcome("handled")) === 1);
  expect(await effects()).toMatchObject([{ note: "attempt 2" }]);
  expect(bench.log.lines).toContainEqual(
    expect.objectContaining({ err: expect.objectContaining({ code: "EVENT_COMPLETION_ROLLED_BACK" }) }),
  );
});

test("without complete the event is noted after the handler, and a later duplicate does not run", async () => {
  let runs = 0;
  await bench.subscriber([subscribe(orderCreated, inboxed, () => void (runs += 1))]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 }, { id: "event-1" });
  await waitFor(async () => (await outcome("handled")) === 1);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 }, { id: "event-1" });
  await waitFor(async () => (await outcome("duplicate")) === 1);
  expect(runs).toBe(1);
});

test("an event id that Postgres cannot hold is dead with its code, and stops nothing", async () => {
  const handled: string[] = [];
  await bench.subscriber([subscribe(orderCreated, inboxed, ({ id }) => void handled.push(id))]);
  await bench.session.withConfirmChannel(async (channel) => {
    const headers = { cloudEvents_id: "a\u0000b" };
    channel.publish(eventsExchange, "orders.created", Buffer.from('{"orderId":"o","total":1}'), { headers });
    await channel.waitForConfirms();
  });
  const { id } = await bench.client.publish(orderCreated, { orderId: "o-2", total: 1 });
  const dead = await waitFor(() => bench.takeDead());
  expect(dead.headers).toMatchObject({ "x-warren-reason": "LEDGER_DATA_INVALID" });
  await waitFor(() => handled.length === 1);
  expect(handled).toEqual([id]);
});

test("complete without an inbox, and an inbox without a ledger, are refused with what to do", async () => {
  const errors: unknown[] = [];
  await bench.subscriber([
    subscribe(orderCreated, { ...inboxed, inbox: false, attempts: 1 }, async (event) => {
      await event.complete(bench.ledger.query).catch((error: unknown) => errors.push(error));
    }),
  ]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(() => errors.length === 1);
  expect(errors).toMatchObject([{ code: "EVENT_INBOX_OFF" }]);
  const { session, metrics, log } = bench;
  const subscriptions = [subscribe(orderCreated, inboxed, () => undefined)];
  expect(() => createSubscriber({ session, metrics, log: log.logger, subscriptions })).toThrow(
    expect.objectContaining({ code: "JOB_OPTION_INVALID", details: { path: "ledger" } }),
  );
});

test("old inbox entries are forgotten, young ones kept", async () => {
  const { inbox } = bench.ledger.events;
  for (const eventId of ["old", "young"]) await inbox.record({ subscription: "a.b", eventId });
  const table = bench.ledger.table("event_inbox");
  await bench.ledger.query(`update ${table} set handled_at = now() - interval '15 days' where event_id = 'old'`, []);
  expect(await inbox.sweep({ retentionDays: 14 })).toBe(1);
  expect(await inbox.isHandled({ subscription: "a.b", eventId: "old" })).toBe(false);
  expect(await inbox.isHandled({ subscription: "a.b", eventId: "young" })).toBe(true);
});
