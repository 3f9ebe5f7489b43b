import { createRequestRecords, createWebhookStore, type Ledger, newId } from "@warren/ledger";
import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { historyDay } from "../../src/uuid-bounds.ts";
import { type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
beforeAll(async () => {
  world = await openLedgerWorld();
  ledger = world.ledger;
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const dayMs = 86_400_000;
/** One instant for all: a midnight in the middle of a test must not part what it makes from what it expects. */
const startedAt = Date.now();

async function makePastDay(parent: string, days: number): Promise<string> {
  const { table, from, to } = historyDay(parent, startedAt - days * dayMs, 0);
  await ledger.query(
    `create table ${ledger.table(table)} partition of ${ledger.table(parent)} for values from ('${from}') to ('${to}')`,
    [],
  );
  return table;
}

async function accept(source: string, key: string, daysAgo = 0): Promise<string> {
  const store = createWebhookStore({ ledger, newId, onJobs: () => undefined });
  const id = v7({ msecs: startedAt - daysAgo * dayMs });
  const answer = await store.accept({
    id,
    source,
    provider: undefined,
    method: "POST",
    url: "/",
    rawHeaders: [],
    peerAddress: undefined,
    clientAddress: undefined,
    correlationId: "test",
    body: Buffer.from("{}"),
    dedupeKey: key,
    eventId: key,
    eventType: undefined,
    jobs: [],
  });
  await ledger.query(
    `update ${ledger.table("webhook_requests")} set received_at = now() - make_interval(days => $2) where id = $1`,
    [id, daysAgo],
  );
  await ledger.query(
    `update ${ledger.table("webhook_dedupe")} set created_at = now() - make_interval(days => $2) where request_id = $1`,
    [id, daysAgo],
  );
  return answer;
}

test("requests are kept as long as their own setting says, whatever that of jobs", async () => {
  const [jobs, requests] = [await makePastDay("jobs_history", 20), await makePastDay("webhook_requests", 20)];
  const young = await makePastDay("webhook_requests", 5);
  await accept("shop", "kept", 5);
  await accept("shop", "gone", 20);
  const longer = await ledger.maintainPartitions({ retentionDays: 10, requestRetentionDays: 30 });
  expect(longer.dropped).toContain(jobs);
  expect(longer.dropped).not.toContain(requests);
  const { dropped } = await ledger.maintainPartitions({ retentionDays: 10, requestRetentionDays: 7 });
  expect(dropped).toContain(requests);
  expect(dropped).not.toContain(young);
  const found = await createRequestRecords({ ledger }).search({ filter: { source: "shop" } });
  expect(found.requests.map(({ key }) => key)).toEqual(["kept"]);
  // the event outlives its request: who sends it again after three weeks is still told that it is known
  expect(await accept("shop", "gone")).toBe("duplicate");
});

test("dedupe keys are forgotten after the days of everybody, or after those of their source", async () => {
  const records = createRequestRecords({ ledger });
  await records.setDedupeDays("short", 3);
  await records.setDedupeDays("long", 60);
  for (const source of ["short", "long", "plain"])
    for (const days of [1, 10, 40]) await accept(source, `${days}`, days);
  expect((await ledger.maintainPartitions({ retentionDays: 90, dedupeDays: 25 })).dedupeKeysExpired).toBe(3);
  const known = await ledger.query(
    `select source, array_agg(key order by key::int) as keys from ${ledger.table("webhook_dedupe")}
     where source in ('short', 'long', 'plain') group by source order by source`,
    [],
  );
  expect(known.rows).toEqual([
    { source: "long", keys: ["1", "10", "40"] },
    { source: "plain", keys: ["1", "10"] },
    { source: "short", keys: ["1"] },
  ]);
  await records.setDedupeDays("long", undefined);
  expect((await ledger.maintainPartitions({ retentionDays: 90, dedupeDays: 25 })).dedupeKeysExpired).toBe(1);
});

test("runs and replays that have ended are forgotten with requests, those under way are not", async () => {
  const age = async (table: string, column: string) =>
    ledger.query(`update ${ledger.table(table)} set ${column} = ${column} - interval '40 days'`, []);
  await ledger.query(
    `insert into ${ledger.table("webhook_event_runs")} (id, event_id, kind, requested_by, reason)
     values (gen_random_uuid(), gen_random_uuid(), 'new', 'anna', 'old')`,
    [],
  );
  const operation = `insert into ${ledger.table("webhook_operations")}
      (id, from_id, before_id, position, rate, most_waiting, action, mode, requested_by, reason, filter, state, finished_at)
    select gen_random_uuid(), i, i, i, 1, 1, 'replay', 'new', 'anna', 'old', '{}', $1, $2::timestamptz
    from (values ('00000000-0000-0000-0000-000000000000'::uuid)) zero(i)`;
  await ledger.query(operation, ["done", new Date()]);
  await ledger.query(operation, ["paused", null]);
  await age("webhook_event_runs", "created_at");
  await age("webhook_operations", "finished_at");
  await ledger.maintainPartitions({ retentionDays: 30 });
  const left = await ledger.query(
    `select (select count(*)::int from ${ledger.table("webhook_event_runs")}) as runs,
       (select array_agg(state) from ${ledger.table("webhook_operations")}) as states`,
    [],
  );
  expect(left.rows).toEqual([{ runs: 0, states: ["paused"] }]);
});
