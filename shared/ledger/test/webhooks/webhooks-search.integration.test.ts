import { randomUUID } from "node:crypto";
import {
  type AcceptedRequest,
  createRequestRecords,
  createWebhookStore,
  type Ledger,
  LedgerUnavailableError,
  newId,
  type RequestFilter,
  type RequestRecords,
} from "@warren/ledger";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { summarizeRequests } from "../../src/webhooks/upkeep.ts";
import { aJob, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
let records: RequestRecords;

const hour = 3_600_000;
const startMs = Date.now() - 10 * hour;
/** A request that came so many hours after the start. */
function stripeRequest(hours: number, id: string, more: Partial<AcceptedRequest> = {}): AcceptedRequest {
  const object = { id: `pi_${id}`, amount: 100 * hours, tags: ["a", id], note: "naïve" };
  return {
    id: v7({ msecs: startMs + hours * hour }),
    source: "stripe",
    provider: "stripe",
    method: "POST",
    url: "/webhooks/stripe",
    rawHeaders: ["Stripe-Signature", "t=1,v1=ab"],
    peerAddress: "192.0.2.1",
    clientAddress: "192.0.2.9",
    correlationId: `c-${id}`,
    body: Buffer.from(JSON.stringify({ id: `evt_${id}`, data: { object } })),
    dedupeKey: `evt_${id}`,
    eventId: `evt_${id}`,
    eventType: hours % 2 === 0 ? "payment_intent.succeeded" : "charge.refunded",
    eventSubject: `pi_${id}`,
    jobs: [aJob()],
    ...more,
  };
}

beforeAll(async () => {
  world = await openLedgerWorld();
  ledger = world.ledger;
  records = createRequestRecords({ ledger });
  const store = createWebhookStore({ ledger, newId, onJobs: () => undefined });
  for (let at = 0; at < 8; at += 1) await store.accept(stripeRequest(at, String(at)));
  await store.accept(stripeRequest(8, "3", { id: v7({ msecs: startMs + 8 * hour }) }));
  await store.accept(
    stripeRequest(8, "github", { source: "github", provider: "github", eventSubject: "repository/1", jobs: [] }),
  );
  // an escape that hides every character from a search of bytes, and bytes that are no text
  const hidden = `{"data":{"object":{"id":"\\u0070\\u0069_hidden"}}}`;
  await store.accept(stripeRequest(9, "hidden", { body: Buffer.from(hidden), eventSubject: undefined }));
  await store.accept(stripeRequest(9, "bytes", { body: Buffer.from([0xff, 0xfe, 0x00, 0x22]) }));
  const { body, jobs: _jobs, dedupeKey: _key, ...received } = stripeRequest(9, "forged");
  await store.record([{ ...received, body, bodyBytes: body.length, cause: "signature_mismatch" }]);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

async function eventIds(filter: RequestFilter, more: { limit?: number; cursor?: string } = {}) {
  const page = await records.search({ filter, ...more });
  return page.requests.map(({ eventId, cause }) => eventId ?? cause);
}

/** Searching in a database where steps of more rows than this take too long; with 0, those by index as well. */
function slowAbove(rows: number): RequestRecords {
  return createRequestRecords({
    ledger: {
      table: ledger.table,
      transaction: (work) =>
        ledger.transaction((run) =>
          work((text, values) => {
            const isSlow = text.includes("scanned") && Number(values[3]) > rows;
            if (isSlow || (rows === 0 && text.includes("r.event_id ="))) {
              throw new LedgerUnavailableError("too slow", { details: { sqlState: "57014" } });
            }
            return run(text, values);
          }),
        ),
    },
  });
}

describe("searching requests", () => {
  const cases: readonly {
    readonly by: string;
    readonly filter: RequestFilter;
    readonly found: readonly string[];
  }[] = [
    { by: "source", filter: { source: "github" }, found: ["evt_github"] },
    {
      by: "the beginning of the type",
      filter: { type: "charge.*", source: "stripe" },
      found: ["evt_hidden", "evt_bytes", "evt_7", "evt_5", "evt_3", "evt_1"],
    },
    { by: "the whole type", filter: { type: "charge" }, found: [] },
    { by: "event id", filter: { eventId: "evt_3" }, found: ["evt_3", "evt_3"] },
    { by: "subject", filter: { subject: "pi_5" }, found: ["evt_5"] },
    { by: "subject and status", filter: { subject: "pi_3", statuses: ["duplicate"] }, found: ["evt_3"] },
    { by: "an id that never came", filter: { eventId: "evt_none" }, found: [] },
    { by: "cause", filter: { causes: ["signature_mismatch"] }, found: ["signature_mismatch"] },
    { by: "cause, of what was accepted", filter: { causes: ["signature_missing"] }, found: [] },
    { by: "dedupe key", filter: { source: "stripe", key: "evt_3" }, found: ["evt_3", "evt_3"] },
    { by: "correlation", filter: { correlationId: "c-4" }, found: ["evt_4"] },
    {
      by: "time",
      filter: { from: new Date(startMs + 2 * hour), before: new Date(startMs + 4 * hour) },
      found: ["evt_3", "evt_2"],
    },
    { by: "a path of the body", filter: { body: [{ path: "data.object.id", equals: "pi_6" }] }, found: ["evt_6"] },
    {
      by: "a path whose value is escaped",
      filter: { body: [{ path: "$.data.object.id", equals: "pi_hidden" }] },
      found: ["evt_hidden"],
    },
    { by: "a number in the body", filter: { body: [{ path: "data.object.amount", equals: 400 }] }, found: ["evt_4"] },
    {
      by: "an element of a list in the body",
      filter: { body: [{ path: "data.object.tags[*]", equals: "2" }] },
      found: ["evt_2"],
    },
    {
      by: "a part of a text that is not ASCII",
      filter: { eventId: "evt_1", body: [{ path: "data.object.note", contains: "ïve" }] },
      found: ["evt_1"],
    },
    {
      by: "two conditions of which one fails",
      filter: {
        body: [
          { path: "data.object.id", equals: "pi_6" },
          { path: "data.object.amount", equals: 1 },
        ],
      },
      found: [],
    },
    { by: "text where a number is", filter: { body: [{ path: "data.object.amount", equals: "400" }] }, found: [] },
    {
      by: "a member that is not there",
      filter: { statuses: ["accepted"], source: "stripe", body: [{ path: "data.object.note", exists: false }] },
      found: ["evt_hidden"],
    },
    { by: "events that nothing came of", filter: { states: ["unmatched"] }, found: ["evt_github"] },
    {
      by: "events whose jobs wait",
      filter: { states: ["unfinished"], source: "stripe", type: "charge.*", before: new Date(startMs + 6 * hour) },
      found: ["evt_5", "evt_3", "evt_1"],
    },
  ];
  test.for(cases)("by $by finds what fits, newest first", async ({ filter, found }) => {
    const ids = await eventIds(filter);
    // two of the fixtures came in the same hour
    expect(ids).toHaveLength(found.length);
    expect(ids).toEqual(expect.arrayContaining([...found]));
    const page = await records.search({ filter });
    expect(page.requests.map(({ id }) => id)).toEqual(
      page.requests
        .map(({ id }) => id)
        .sort()
        .toReversed(),
    );
    expect(page.looked.complete).toBe(true);
  });

  test("finds ids by block ranges, summarized or not, and reads no other row", async () => {
    // each takes a page, so that there are several ranges; the first of a partition is kept up to date by the inserts
    const body = Buffer.alloc(7_000, "x");
    const received = Array.from({ length: 140 }, (_, at) =>
      stripeRequest(9.5, `bulk-${at}`, { body, source: "bulk", eventSubject: undefined }),
    );
    await ledger.query(
      `insert into ${ledger.table("webhook_requests")} (id, body_bytes, source, status, method, path, correlation_id, headers, body, event_id)
       select id, 7000, 'bulk', 'answered', 'POST', '/', '', '[]', $2, 'evt_bulk-' || (n - 1)
       from unnest($1::uuid[]) with ordinality as r(id, n)`,
      [received.map(({ id }) => id), body],
    );
    expect(await records.search({ filter: { eventId: "evt_bulk-139" } })).toMatchObject({
      requests: [{ source: "bulk" }],
      looked: { requests: 1, by: "index" },
    });
    expect(await summarizeRequests(ledger.transaction, ledger.table)).toBeGreaterThan(0);
    expect(await records.search({ filter: { eventId: "evt_bulk-139" } })).toMatchObject({
      requests: [{ source: "bulk" }],
      looked: { requests: 1, by: "index" },
    });
    const { rows } = await ledger.transaction(async (run) => {
      await run("set local enable_bitmapscan = on; set local enable_indexscan = off", []);
      return run(`explain select id from ${ledger.table("webhook_requests")} where event_id = 'evt_5'`, []);
    });
    expect(JSON.stringify(rows)).toMatch(/Bitmap Index Scan on webhook_requests_\d+_event_id/);
    await ledger.query(`delete from ${ledger.table("webhook_requests")} where source = 'bulk'`, []);
  });

  test("goes on where a page ended, whatever the filter, and misses nothing", async () => {
    for (const filter of [{}, { source: "stripe" }, { eventId: "evt_3" }, { body: [{ path: "id" }] }]) {
      const whole = (await records.search({ filter, limit: 200 })).requests.map(({ id }) => id);
      const paged: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await records.search({ filter, limit: 1, ...(cursor === undefined ? {} : { cursor }) });
        paged.push(...page.requests.map(({ id }) => id));
        cursor = page.next;
      } while (cursor !== undefined);
      expect(paged).toEqual(whole);
    }
  });

  test("that has spent its budget says so and where to go on", async () => {
    const filter = { body: [{ path: "data.object.id", equals: "pi_0" }] };
    const budget = { requests: 1_000, bodyBytes: 1, milliseconds: 10_000 };
    const page = await records.search({ filter, budget: { ...budget, bodyBytes: 1 } });
    expect(page).toMatchObject({ requests: [{ eventId: "evt_0" }] });
    const spent = await records.search({ filter, budget: { ...budget, milliseconds: 0 } });
    expect(spent.looked.complete).toBe(spent.next === undefined);
    expect(spent.looked.bodies).toBeGreaterThan(0);
  });

  test("goes on in smaller steps when one takes too long, and gives up with a code when none is small enough", async () => {
    const whole = await records.search({ filter: {}, limit: 200 });
    const slowly = await slowAbove(60).search({ filter: {}, limit: 200 });
    expect(slowly.requests).toEqual(whole.requests);
    expect(slowly.looked.complete).toBe(true);
    for (const filter of [{}, { eventId: "evt_3" }]) {
      await expect(slowAbove(0).search({ filter })).rejects.toMatchObject({
        code: "REQUEST_SEARCH_TIMEOUT",
        retryable: true,
      });
    }
  });

  const wrong = [
    { what: "a path that is none", query: { filter: { body: [{ path: "a..b", equals: 1 }] } } },
    { what: "a path that starts with a number", query: { filter: { body: [{ path: "[?(@.a)]", equals: 1 }] } } },
    { what: "two questions in one", query: { filter: { body: [{ path: "a", equals: 1, contains: "x" }] } } },
    { what: "too many conditions", query: { filter: { body: Array.from({ length: 11 }, () => ({ path: "a" })) } } },
    { what: "an id that is none", query: { filter: { ids: ["'; drop table jobs"] } } },
    { what: "a cursor that is none", query: { filter: {}, cursor: "1" } },
    { what: "too long a page", query: { filter: {}, limit: 201 } },
    { what: "a date that is none", query: { filter: { from: new Date("never") } } },
  ];
  test.for(wrong)("refuses $what with a code", async ({ query }) => {
    await expect(records.search(query)).rejects.toMatchObject({ code: "LEDGER_DATA_INVALID" });
  });

  test("takes any text as a text", async () => {
    for (const odd of ["'", "%", "\\", '"', "*", "a*b*", "ü"]) {
      expect(await eventIds({ source: odd, type: odd, correlationId: odd })).toEqual([]);
      expect(
        await eventIds({ body: [{ path: `$["${odd === '"' || odd === "\\" ? `\\${odd}` : odd}"]`, equals: odd }] }),
      ).toEqual([]);
    }
  });
});

describe("reading", () => {
  test("one request gives its exact bytes, its headers in order, and the event that it repeats", async () => {
    const [, duplicate] = (await records.search({ filter: { eventId: "evt_3" } })).requests.toReversed();
    const [first] = (await records.search({ filter: { eventId: "evt_3", statuses: ["accepted"] } })).requests;
    const read = await records.find(duplicate?.id ?? "");
    expect(read).toMatchObject({
      status: "duplicate",
      subject: "pi_3",
      event: first?.id,
      peerAddress: "192.0.2.1",
      rawHeaders: ["Stripe-Signature", "t=1,v1=ab"],
    });
    expect(read?.body?.equals(stripeRequest(8, "3").body)).toBe(true);
    expect(await records.find(randomUUID())).toBeUndefined();
    expect(await records.find("no id")).toBeUndefined();
  });

  test("one event gives its first request, its duplicates, its jobs and how they stand", async () => {
    const [first] = (await records.search({ filter: { eventId: "evt_3", statuses: ["accepted"] } })).requests;
    expect(await records.event(first?.id ?? "")).toMatchObject({
      request: { id: first?.id, key: "evt_3", status: "accepted" },
      state: "unfinished",
      jobs: [{ known: { state: "ready", attempt: 0 } }],
      duplicates: { count: 1, latest: [{ status: "duplicate" }] },
      runs: [],
    });
    const [duplicate] = (await records.search({ filter: { eventId: "evt_3", statuses: ["duplicate"] } })).requests;
    expect(await records.event(duplicate?.id ?? "")).toBeUndefined();
    const page = await records.events({ filter: { source: "github" } });
    expect(page.events).toMatchObject([{ state: "unmatched", jobs: [], request: { eventId: "evt_github" } }]);
  });
});
