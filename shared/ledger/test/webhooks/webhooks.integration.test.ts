import { randomInt } from "node:crypto";
import {
  type AcceptedRequest,
  createWebhookStore,
  type Ledger,
  LedgerError,
  newId,
  type WebhookStore,
} from "@warren/ledger";
import { describe, expect, test } from "vitest";
import { sweepDedupe } from "../../src/webhooks/dedupe.ts";
import { aJob, openLedgerWorld } from "../support/ledger-world.ts";

function storeOn(ledger: Ledger, ready: { readonly id: string; readonly queue: string }[] = []): WebhookStore {
  return createWebhookStore({ ledger, newId, onJobs: (jobs) => ready.push(...jobs) });
}

function aRequest(dedupeKey: string, more: Partial<AcceptedRequest> = {}): AcceptedRequest {
  return {
    id: newId(),
    source: "github",
    provider: "github",
    method: "POST",
    url: "/webhooks/github?a=1",
    rawHeaders: ["Host", "x", "X-A", 'quoted "\\ value', "x-a", "é"],
    peerAddress: "192.0.2.1",
    clientAddress: undefined,
    correlationId: "test",
    body: Buffer.from(`body of ${dedupeKey}`),
    dedupeKey,
    eventId: undefined,
    eventType: undefined,
    jobs: [aJob()],
    ...more,
  };
}

async function requests(ledger: Ledger) {
  const { rows } = await ledger.query(`select * from ${ledger.table("webhook_requests")} order by id`, []);
  return rows;
}

function jobIdsOf(row: Readonly<Record<string, unknown>> | undefined): readonly string[] {
  return (row?.["job_ids"] ?? []) as readonly string[];
}

describe("storing webhooks", () => {
  test("keeps any bytes of any length, each with its own request, in one statement", async () => {
    await using world = await openLedgerWorld();
    const store = storeOn(world.ledger);
    const bodies = [0, 1, 255, 65_536, 1_048_576, 0, 3].map((length) =>
      Buffer.from(Array.from({ length }, () => randomInt(256))),
    );
    const sent = bodies.map((body, at) => aRequest(`k-${at}`, { body }));
    expect(await Promise.all(sent.map((request) => store.accept(request)))).toEqual(sent.map(() => "accepted"));
    const rows = new Map((await requests(world.ledger)).map((row) => [row["id"], row]));
    for (const request of sent) {
      const row = rows.get(request.id);
      expect(request.body.equals(row?.["body"] as Buffer)).toBe(true);
      expect(row).toMatchObject({ path: "/webhooks/github", query: "a=1", headers: request.rawHeaders });
    }
  });

  test("compresses a large body with the fast method or not at all, and keeps its bytes", async () => {
    await using world = await openLedgerWorld();
    const { ledger } = world;
    const body = Buffer.from(JSON.stringify(Array.from({ length: 500 }, (_, id) => ({ id, object: "line_item" }))));
    await storeOn(ledger).accept(aRequest("large", { body }));
    const { rows } = await ledger.query(
      `select pg_column_compression(body) as method, body, (
         select 'lz4' = any (enumvals) from pg_settings where name = 'default_toast_compression'
       ) as has_lz4 from ${ledger.table("webhook_requests")}`,
      [],
    );
    expect(rows).toEqual([
      { method: rows[0]?.["has_lz4"] === true ? "lz4" : null, body, has_lz4: expect.any(Boolean) },
    ]);
  });

  test("the first of one key in a batch is accepted, the others are duplicates without jobs", async () => {
    await using world = await openLedgerWorld();
    const ready: { readonly id: string; readonly queue: string }[] = [];
    const store = storeOn(world.ledger, ready);
    const answers = await Promise.all(["a", "b", "a", "a", "b"].map((key) => store.accept(aRequest(key))));
    expect(answers).toEqual(["accepted", "accepted", "duplicate", "duplicate", "duplicate"]);
    expect((await requests(world.ledger)).map((row) => (row["job_ids"] as string[]).length)).toEqual([1, 1, 0, 0, 0]);
    expect(Object.keys(await world.states()).sort()).toEqual(ready.map(({ id }) => id).sort());
  });

  test("requests that share a statement keep what is their own: sender, query, event and jobs", async () => {
    await using world = await openLedgerWorld();
    const store = storeOn(world.ledger);
    const sent = [
      aRequest("none", { url: "/webhooks/github", jobs: [] }),
      aRequest("empty", { url: "/webhooks/github?", eventId: "", eventType: undefined }),
      aRequest("two", { jobs: [aJob({ queue: "a", breakers: ["x", 'y "z"'] }), aJob({ queue: "b", priority: 3 })] }),
      aRequest("other", { source: "shop", provider: undefined, method: "PUT", clientAddress: "2001:db8::1" }),
      aRequest("none", { eventType: 'it\'s {a,"b"} \\ NULL' }),
      ...Array.from({ length: 20 }, (_, at) =>
        aRequest(`q-${at}`, { url: `/webhooks/github?n=${at}`, jobs: [aJob({ delayMs: at * 60_000 })] }),
      ),
    ];
    const answers = await Promise.all(sent.map((request) => store.accept(request)));
    expect(answers.filter((answer) => answer === "duplicate").length).toBe(1);
    expect(answers[4]).toBe("duplicate");

    const rows = new Map((await requests(world.ledger)).map((row) => [row["id"], row]));
    const jobs = new Map(
      (await world.ledger.query(`select * from ${world.ledger.table("jobs")}`, [])).rows.map((row) => [row["id"], row]),
    );
    for (const [at, request] of sent.entries()) {
      const row = rows.get(request.id);
      const [path, query] = request.url.split("?");
      expect(row).toMatchObject({
        source: request.source,
        provider: request.provider ?? null,
        method: request.method,
        path,
        query: query ?? null,
        client_address: request.clientAddress ?? null,
        event_id: request.eventId ?? null,
        event_type: request.eventType ?? null,
      });
      const made = jobIdsOf(row).map((id) => jobs.get(id));
      const wanted = answers[at] === "duplicate" ? [] : request.jobs;
      expect(made.map((job) => [job?.["queue"], job?.["priority"], job?.["breakers"]])).toEqual(
        wanted.map((job) => [job.queue, job.priority ?? 0, job.breakers ?? []]),
      );
    }
    const later = sent.slice(6).map(({ id }) => jobs.get(jobIdsOf(rows.get(id))[0])?.["state"]);
    expect(new Set(later)).toEqual(new Set(["scheduled"]));
  });

  test("many processes with the same keys in opposite orders never deadlock, and each key wins once", async () => {
    await using world = await openLedgerWorld();
    const stores = [storeOn(world.ledger), storeOn(await world.openAnother()), storeOn(await world.openAnother())];
    const keys = Array.from({ length: 300 }, (_, at) => `key-${at}`);
    const sends = stores.flatMap((store, at) => {
      const order = at % 2 === 0 ? keys : keys.toReversed();
      return order.map(async (key) => ({ key, answer: await store.accept(aRequest(key)) }));
    });
    const accepted = (await Promise.all(sends)).filter(({ answer }) => answer === "accepted").map(({ key }) => key);
    expect(accepted.sort()).toEqual(keys.sort());
    expect(Object.keys(await world.states())).toHaveLength(keys.length);
  });

  test("a request that cannot be stored fails alone, and leaves no key behind that would swallow its repetition", async () => {
    await using world = await openLedgerWorld();
    const store = storeOn(world.ledger);
    const poison = aRequest("poison", { jobs: [aJob({ payload: { text: "\u0000" } })] });
    const answers = await Promise.allSettled([aRequest("a"), poison, aRequest("b")].map((one) => store.accept(one)));
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect((answers[1] as PromiseRejectedResult).reason).toBeInstanceOf(LedgerError);
    expect(await store.accept(aRequest("poison"))).toBe("accepted");
  });

  test("several jobs or none may come of one request", async () => {
    await using world = await openLedgerWorld();
    const store = storeOn(world.ledger);
    await Promise.all([
      store.accept(aRequest("none", { jobs: [] })),
      store.accept(aRequest("three", { jobs: [aJob(), aJob({ queue: "other" }), aJob()] })),
    ]);
    expect(Object.keys(await world.states())).toHaveLength(3);
  });

  test("rejected requests are kept with their cause, with and without their bytes", async () => {
    await using world = await openLedgerWorld();
    const store = storeOn(world.ledger);
    const { dedupeKey: _key, eventId: _id, eventType: _type, jobs: _jobs, ...received } = aRequest("x");
    await store.record([
      { ...received, cause: "signature_mismatch", bodyBytes: received.body.length },
      { ...received, id: newId(), cause: "body_too_large", body: undefined, bodyBytes: 99 },
    ]);
    await store.record([]);
    expect(await requests(world.ledger)).toMatchObject([
      {
        status: "rejected",
        cause: "signature_mismatch",
        body: received.body,
        body_bytes: String(received.body.length),
      },
      { status: "rejected", cause: "body_too_large", body: null, body_bytes: "99" },
    ]);
  });

  test("answered challenges are kept beside them, and are no accepted event", async () => {
    await using world = await openLedgerWorld();
    const store = storeOn(world.ledger);
    const { dedupeKey: _key, eventId: _id, jobs: _jobs, ...received } = aRequest("x");
    await store.record([
      { ...received, id: newId(), cause: "signature_mismatch", bodyBytes: received.body.length },
      { ...received, id: newId(), eventType: "url_verification", bodyBytes: received.body.length },
    ]);
    expect(await requests(world.ledger)).toMatchObject([
      { status: "rejected", cause: "signature_mismatch", event_type: null },
      { status: "answered", cause: null, event_type: "url_verification", body: received.body, job_ids: [] },
    ]);
    expect(await store.accept(aRequest("x"))).toBe("accepted");
  });
});

describe("the memory of accepted events", () => {
  test("forgets those past retention, and takes them for new ones then", async () => {
    await using world = await openLedgerWorld();
    const { ledger } = world;
    const store = storeOn(ledger);
    await Promise.all(["old", "young"].map((key) => store.accept(aRequest(key))));
    const age = `update ${ledger.table("webhook_dedupe")} set created_at = created_at - interval '36 days' where key = 'old'`;
    await ledger.query(age, []);
    expect(await sweepDedupe(ledger.transaction, ledger.table, { retentionDays: 35 })).toBe(1);
    expect(await store.accept(aRequest("young"))).toBe("duplicate");
    expect(await store.accept(aRequest("old"))).toBe("accepted");
  });
});
