import { waitFor } from "@warren/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { NewOutboxEvent } from "../src/index.ts";
import { type LedgerWorld, openLedgerWorld } from "./support/ledger-world.ts";

let world: LedgerWorld;
beforeAll(async () => {
  world = await openLedgerWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await world.clear();
});

const anEvent = (eventId: string, more: Partial<NewOutboxEvent> = {}): NewOutboxEvent => ({
  eventId,
  type: "orders.created",
  headers: { cloudEvents_id: eventId },
  body: "{}",
  ...more,
});
const keyed = (id: string, orderingKey: string): NewOutboxEvent => anEvent(id, { orderingKey });
const ids = (events: readonly { readonly eventId: string }[]) => events.map(({ eventId }) => eventId);
const outbox = () => world.ledger.events.outbox;
const expireLeases = () =>
  world.ledger.query(`update ${world.ledger.table("event_outbox")} set send_after = now()`, []);

test("an event is there when its transaction commits, and not when it rolls back", async () => {
  await world.ledger.transaction(async (run) => {
    await outbox().addIn(run, [anEvent("kept")]);
    expect(await outbox().takeFree({ limit: 10 })).toEqual([]);
  });
  const rolledBack = world.ledger.transaction(async (run) => {
    await outbox().addIn(run, [anEvent("gone")]);
    throw new Error("rolled back");
  });
  await expect(rolledBack).rejects.toThrow("rolled back");
  expect(ids(await outbox().takeFree({ limit: 10 }))).toEqual(["kept"]);
});

test("dispatchers share events: each is taken once, and again only when its lease is over", async () => {
  const all = Array.from({ length: 100 }, (_, n) => `e-${n}`);
  await outbox().add(all.map((id) => anEvent(id)));
  const taken = await Promise.all(Array.from({ length: 4 }, () => outbox().takeFree({ limit: 40 })));
  const rest = await outbox().takeFree({ limit: 100 });
  expect([...taken.flatMap(ids), ...ids(rest)].sort()).toEqual(all.toSorted());
  await expireLeases();
  expect(ids(await outbox().takeFree({ limit: 100 }))).toEqual(all);
});

test("what was confirmed is forgotten, and giving back lets others take at once", async () => {
  await outbox().add([anEvent("a"), anEvent("b")]);
  const [a, b] = await outbox().takeFree({ limit: 10 });
  await outbox().sent([a!.position]);
  await outbox().giveBack([b!.position]);
  expect(ids(await outbox().takeFree({ limit: 10 }))).toEqual(["b"]);
});

test("the events of a key belong to one taker at a time, in order, whatever others do", async () => {
  await outbox().add([keyed("a1", "a"), keyed("b1", "b"), keyed("a2", "a"), keyed("a3", "a")]);
  const first = await outbox().takeOrdered({ keys: 10, perKey: 2 });
  expect(ids(first)).toEqual(["a1", "b1", "a2"]);
  expect(await outbox().takeOrdered({ keys: 10, perKey: 10 })).toEqual([]);
  await outbox().sent([first[0]!.position]);
  // a2 is leased, so a3 must wait although it is not
  expect(await outbox().takeOrdered({ keys: 10, perKey: 10 })).toEqual([]);
  await expireLeases();
  expect(ids(await outbox().takeOrdered({ keys: 10, perKey: 10 }))).toEqual(["b1", "a2", "a3"]);
});

test("many takers at once never hold two events of one key apart", async () => {
  const keys = Array.from({ length: 20 }, (_, n) => `k${n}`);
  for (let n = 0; n < 5; n += 1) {
    await outbox().add(keys.map((orderingKey) => anEvent(`${orderingKey}/${n}`, { orderingKey })));
  }
  const sent: string[] = [];
  const drain = async () => {
    for (let idle = 0; idle < 5; ) {
      const taken = await outbox().takeOrdered({ keys: 3, perKey: 2 });
      idle = taken.length === 0 ? idle + 1 : 0;
      for (const event of taken) sent.push(event.eventId);
      await outbox().sent(taken.map(({ position }) => position));
    }
  };
  await Promise.all([drain(), drain(), drain(), drain()]);
  expect(sent).toHaveLength(100);
  for (const key of keys) {
    const own = sent.filter((id) => id.startsWith(`${key}/`));
    expect(own).toEqual([0, 1, 2, 3, 4].map((n) => `${key}/${n}`));
  }
});

test("writers of one key take turns, so the order is that of the commits", async () => {
  const { promise: written, resolve } = Promise.withResolvers<void>();
  const { promise: gate, resolve: commit } = Promise.withResolvers<void>();
  const early = world.ledger.transaction(async (run) => {
    await outbox().addIn(run, [anEvent("first", { orderingKey: "k" })]);
    resolve();
    await gate;
  });
  await written;
  let late = false;
  const second = outbox()
    .add([anEvent("second", { orderingKey: "k" })])
    .then(() => (late = true));
  await outbox().add([anEvent("other", { orderingKey: "another" })]);
  expect(late).toBe(false);
  commit();
  await Promise.all([early, second]);
  expect(ids(await outbox().takeOrdered({ keys: 10, perKey: 10 }))).toEqual(["first", "other", "second"]);
});

test("a big backlog of one key does not make taking slower for others", async () => {
  await world.ledger.query(
    `insert into ${world.ledger.table("event_outbox")} (event_id, type, headers, body, ordering_key)
     select 'bulk-' || n, 't', '{}', '{}', 'huge' from generate_series(1, 20000) n`,
    [],
  );
  await outbox().add([anEvent("small", { orderingKey: "zz" })]);
  await world.ledger.query(`analyze ${world.ledger.table("event_outbox")}`, []);
  const read = async () => {
    const { rows } = await world.ledger.query(
      `select seq_tup_read + idx_tup_fetch as read, n_tup_upd as updated from pg_stat_user_tables where relname = 'event_outbox'`,
      [],
    );
    return { read: Number(rows[0]?.["read"]), updated: Number(rows[0]?.["updated"]) };
  };
  const other = await world.openAnother();
  const before = await read();
  const taken = await other.events.outbox.takeOrdered({ keys: 10, perKey: 5 });
  await other[Symbol.asyncDispose]();
  // a session reports a moment after it is gone
  const after = await waitFor(async () => {
    const seen = await read();
    return seen.updated >= before.updated + 6 ? seen : undefined;
  });
  expect(after.read - before.read).toBeLessThan(2_000);
  expect(ids(taken)).toContain("small");
  expect(taken).toHaveLength(6);
});

test.for([
  { what: "an id", event: anEvent("a\u0000b") },
  { what: "headers", event: anEvent("x", { headers: { subject: "a\u0000b" } }) },
])("$what that Postgres cannot hold is refused with a code", async ({ event }) => {
  await expect(outbox().add([event])).rejects.toMatchObject({ code: "LEDGER_DATA_INVALID" });
});

test("data with U+0000 passes through the outbox unchanged", async () => {
  const body = JSON.stringify({ text: "a\u0000b\ud800" });
  await outbox().add([anEvent("x", { body })]);
  expect((await outbox().takeFree({ limit: 1 }))[0]?.body).toBe(body);
});
