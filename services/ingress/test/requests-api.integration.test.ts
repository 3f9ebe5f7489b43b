import { sendTemplateEmail } from "@warren/jobs";
import { createWorld, type World } from "@warren/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { route } from "../src/routing/route.ts";
import { githubHeaders, jobsOf, post, prepare, type RunningIngress, requestsOf, startIngress } from "./fixture.ts";
import { githubSecret, stripeHeader, stripeSecret } from "./signed.ts";

const apiKey = "0123456789abcdef0123456789";
let world: World;
/** As it was misconfigured, and as it is now: another process on the same database. */
let before: RunningIngress;
let running: RunningIngress;

const mail = route({ name: "mail", types: ["push", "charge.*"] }).toJob(sendTemplateEmail, (event) => ({
  user: { id: "u", email: "u@example.com", locale: "en" },
  template: "webhook-received",
  version: 1,
  data: { source: event.source, event: "push", requestId: event.requestId, receivedAt: event.receivedAt.toISOString() },
}));

beforeAll(async () => {
  world = await createWorld();
  await prepare(world);
  const stripe = { provider: "stripe", secrets: [stripeSecret] };
  const rotated = { value: githubSecret, notBefore: new Date(Date.now() - 1_000).toISOString() };
  before = await startIngress(world, {
    rules: [mail],
    sources: { github: { provider: "github", secrets: ["the old secret"] }, stripe },
  });
  running = await startIngress(world, {
    rules: [mail],
    apiKeys: [apiKey],
    sources: { github: { provider: "github", secrets: [rotated] }, stripe },
  });
});
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await before[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

type Json = Readonly<Record<string, unknown>>;

async function call(method: "GET" | "POST" | "PUT", path: string, payload?: object) {
  const answer = await running.ingress.api!.inject({
    method,
    url: `/api/v1${path}`,
    headers: { authorization: `Bearer ${apiKey}` },
    ...(payload === undefined ? {} : { payload }),
  });
  const isJson = String(answer.headers["content-type"]).includes("json");
  return {
    status: answer.statusCode,
    headers: answer.headers,
    bytes: answer.rawPayload,
    body: (isJson ? answer.json() : {}) as Json & {
      readonly items: readonly Json[];
      readonly nextCursor: string | null;
    },
  };
}

async function stripe(id: string, object: Json, more: { readonly type?: string } = {}): Promise<string> {
  const body = JSON.stringify({ id: `evt_${id}`, type: more.type ?? "charge.succeeded", data: { object } });
  const headers = {
    "content-type": "application/json",
    "stripe-signature": stripeHeader(body, stripeSecret, nowSeconds()),
  };
  const answer = await post(running, "stripe?token=let-me-in&a=1", headers, body);
  expect(answer.status).toBe(202);
  return String(answer.body["requestId"]);
}

async function rejectedGithub(delivery: string): Promise<string> {
  const body = JSON.stringify({ zen: delivery });
  expect((await post(before, "github", githubHeaders(body, delivery), body)).status).toBe(401);
  await before.ingress.drain();
  const rows = await requestsOf(running);
  const row = rows.findLast(({ source, status }) => source === "github" && status === "rejected");
  return String(row?.["id"]);
}

describe("requests and events", () => {
  test("are found by any path of the body, by subject and by state, a page at a time", async () => {
    const first = await stripe("1", { id: "pi_1", amount: 5, lines: [{ sku: "a" }, { sku: "b" }] });
    const second = await stripe("2", { id: "pi_2", amount: 6, lines: [] });
    const unrouted = await stripe("3", { id: "pi_3" }, { type: "payout.paid" });
    const again = await stripe("1", { id: "pi_1", amount: 5, lines: [{ sku: "a" }, { sku: "b" }] });

    const find = async (query: string) => (await call("GET", query)).body.items.map(({ id }) => id);
    expect(await find(`/requests?body=${encodeURIComponent('data.object.id="pi_2"')}`)).toEqual([second]);
    expect(await find(`/requests?body=data.object.lines[*].sku=b&body=data.object.amount=5`)).toEqual([again, first]);
    expect(await find(`/requests?source=stripe&body=!data.object.amount`)).toEqual([unrouted]);
    expect(await find(`/requests?subject=pi_1&status=duplicate`)).toEqual([again]);
    expect(await find("/events?type=charge.*")).toEqual([second, first]);
    expect(await find("/events?state=unmatched,dead")).toEqual([unrouted]);
    expect(await find("/events?routing=unmatched&eventId=evt_3")).toEqual([unrouted]);

    const page = await call("GET", "/requests?limit=3&source=stripe");
    expect(page.body).toMatchObject({
      items: [{ id: again }, { id: unrouted }, { id: second }],
      looked: { by: "scan" },
    });
    const rest = await call("GET", `/requests?limit=3&source=stripe&cursor=${page.body.nextCursor}`);
    expect(rest.body).toMatchObject({ items: [{ id: first }], nextCursor: null, looked: { complete: true } });

    expect((await call("GET", `/events/${first}`)).body).toMatchObject({
      id: first,
      key: "evt_1",
      subject: "pi_1",
      state: "unfinished",
      jobs: [{ name: "notifications.send-template", state: "ready" }],
      duplicates: { count: 1, latest: [{ id: again, status: "duplicate" }] },
      request: { id: first, status: "accepted" },
      runs: [],
    });
    expect((await call("GET", `/events/${again}`)).body).toMatchObject({ code: "WEBHOOK_EVENT_NOT_FOUND" });
    expect((await call("GET", `/requests/${again}`)).body).toMatchObject({ event: first, status: "duplicate" });
  });

  test("show their exact bytes; secrets and signatures only when asked for", async () => {
    const id = await stripe("bytes", { id: "pi_ü" });
    const { body } = await call("GET", `/requests/${id}`);
    const expected = JSON.stringify({ id: "evt_bytes", type: "charge.succeeded", data: { object: { id: "pi_ü" } } });
    expect(body).toMatchObject({
      query: "token=[redacted]&a=1",
      body: { base64: Buffer.from(expected).toString("base64"), text: expected },
      peerAddress: "127.0.0.1",
    });
    const headers = body["headers"] as readonly { name: string; value: string; redacted: boolean }[];
    const signature = headers.find(({ name }) => name === "stripe-signature");
    expect(signature).toEqual({ name: "stripe-signature", value: "[redacted]", redacted: true });
    expect(headers.find(({ name }) => name === "content-type")?.redacted).toBe(false);
    expect(headers[0]?.name.toLowerCase()).toBe("host");

    const revealed = (await call("GET", `/requests/${id}?reveal=true`)).body;
    expect(revealed["query"]).toBe("token=let-me-in&a=1");
    expect(JSON.stringify(revealed["headers"])).toContain("v1=");

    const download = await call("GET", `/requests/${id}/body`);
    expect(download.bytes.equals(Buffer.from(expected))).toBe(true);
    expect(download.headers).toMatchObject({
      "content-type": "application/octet-stream",
      "content-disposition": `attachment; filename="${id}.bin"`,
    });

    // one that is too large to be shown is still there to be downloaded
    const table = running.ledger.table("webhook_requests");
    await running.ledger.query(`update ${table} set body = repeat('x', 4194305)::bytea where id = $1`, [id]);
    expect((await call("GET", `/requests/${id}`)).body).toMatchObject({ body: { base64: null, text: null } });
    expect((await call("GET", `/requests/${id}/body`)).bytes).toHaveLength(4_194_305);
  });

  test("that were rejected under a wrong secret are judged as of their time and accepted late, once", async () => {
    const id = await rejectedGithub("late-1");
    expect((await call("GET", "/requests?status=rejected&cause=signature_mismatch")).body.items).toMatchObject([
      { id },
    ]);
    const order = { reason: "the secret was wrong" };
    expect((await call("POST", `/requests/${id}/verify`, order)).body).toMatchObject({
      kind: "changed",
      made: [expect.any(String)],
    });
    expect((await call("GET", `/events/${id}`)).body).toMatchObject({
      eventId: "late-1",
      late: true,
      jobs: [{ state: "ready" }],
      runs: [{ kind: "late", reason: "the secret was wrong", by: expect.stringMatching(/^key [0-9a-f]{8}$/) }],
      request: { late: { cause: "signature_mismatch" } },
    });
    expect(await call("POST", `/requests/${id}/verify`, order)).toMatchObject({
      status: 409,
      body: { code: "REQUEST_NOT_REJECTED" },
    });
    const body = JSON.stringify({ zen: "late-1" });
    const retried = await post(running, "github", githubHeaders(body, "late-1"), body);
    expect(retried.body).toMatchObject({ status: "duplicate" });
  });

  test("that are forged, or too old for their time, stay rejected, with the cause", async () => {
    const order = { reason: "again" };
    const stale = JSON.stringify({ id: "evt_stale", type: "charge.succeeded" });
    const headers = {
      "content-type": "application/json",
      "stripe-signature": stripeHeader(stale, stripeSecret, nowSeconds() - 600),
    };
    expect((await post(running, "stripe", headers, stale)).status).toBe(401);
    await running.ingress.drain();
    const [request] = (await call("GET", "/requests?cause=timestamp_too_old")).body.items;
    expect((await call("POST", `/requests/${String(request?.["id"])}/verify`, order)).body).toMatchObject({
      kind: "skipped",
      why: "still_rejected",
      cause: "timestamp_too_old",
    });
    // it would be too old by today's clock, but was not when it came
    const timely = await stripe("timely", { id: "pi_t" });
    await running.ledger.query(
      `update ${running.ledger.table("webhook_requests")} set status = 'rejected', cause = 'signature_mismatch',
         dedupe_key = null where id = $1`,
      [timely],
    );
    await running.ledger.query(`delete from ${running.ledger.table("webhook_dedupe")} where request_id = $1`, [timely]);
    expect((await call("POST", `/requests/${timely}/verify`, order)).body).toMatchObject({ kind: "changed" });
  });

  test("run again as asked: what waits is left alone, new effects are made under new ids", async () => {
    const id = await stripe("replayed", { id: "pi_r" });
    const replay = (more: object) => call("POST", `/events/${id}/replay`, { reason: "test", ...more });
    expect((await replay({})).body).toMatchObject({ kind: "skipped", why: "unfinished", cause: null });
    expect((await replay({ mode: "new", by: "anna" })).body).toMatchObject({
      kind: "changed",
      made: [expect.any(String)],
    });
    const { jobs, runs } = (await call("GET", `/events/${id}`)).body;
    expect(jobs).toHaveLength(2);
    expect(runs).toMatchObject([{ kind: "new", by: expect.stringMatching(/^anna \(key [0-9a-f]{8}\)$/) }]);
  });
});

describe("a replay of many", () => {
  test("counts, runs in the background behind live traffic, and tells what it did", async () => {
    const ids = [];
    for (let at = 0; at < 5; at += 1) ids.push(await stripe(`many-${at}`, { id: `pi_many` }));
    await running.ledger.query(
      `update ${running.ledger.table("jobs")} set run_at = run_at + interval '1 day', state = 'scheduled'`,
      [],
    );
    const wanted = { mode: "new", filter: { subject: "pi_many" }, reason: "lost mails", rate: 1_000 };
    expect(await call("POST", "/replays", { ...wanted, dryRun: true })).toMatchObject({
      status: 200,
      body: { matched: 5, looked: { complete: true } },
    });
    const jobsBefore = (await jobsOf(running)).length;
    const made = await call("POST", "/replays", { ...wanted, mostWaiting: 5 });
    expect(made).toMatchObject({ status: 201, body: { state: "running", filter: { subject: "pi_many" } } });
    const path = `/replays/${String(made.body["id"])}`;
    expect(made.headers["location"]).toBe(`/api/v1${path}`);
    await expect.poll(async () => (await call("GET", path)).body["state"]).toBe("done");
    expect((await call("GET", path)).body).toMatchObject({ matched: 5, changed: 5, skipped: 0, skips: {} });
    expect((await jobsOf(running)).length).toBe(jobsBefore + 5);
    expect((await call("GET", "/replays?limit=1")).body.items).toMatchObject([{ id: made.body["id"] }]);
    expect(await call("POST", `${path}/pause`, {})).toMatchObject({ status: 409, body: { code: "REPLAY_FINISHED" } });
  });

  test("verifies what was rejected for a while", async () => {
    const id = await rejectedGithub("late-many");
    const filter = { source: "github", causes: ["signature_mismatch"] };
    const made = await call("POST", "/replays", { action: "verify", filter, reason: "rotated" });
    const path = `/replays/${String(made.body["id"])}`;
    await expect.poll(async () => (await call("GET", path)).body["state"]).toBe("done");
    expect((await call("GET", path)).body).toMatchObject({ matched: 1, changed: 1 });
    expect((await call("GET", `/events/${id}`)).body).toMatchObject({ late: true });
  });
});

async function dedupeDays(): Promise<readonly Json[]> {
  return (await running.ledger.query(`select * from ${running.ledger.table("webhook_dedupe_policies")}`, [])).rows;
}

describe("what is wrong is refused with a code", () => {
  const unknown = "01999999-9999-7999-8999-999999999999";
  const order = { reason: "r" };
  test.for([
    { method: "GET", path: "/requests?status=lost", status: 400, code: "API_REQUEST_INVALID" },
    { method: "GET", path: "/requests?body=a..b", status: 400, code: "LEDGER_DATA_INVALID" },
    { method: "GET", path: "/requests?body==1", status: 400, code: "API_REQUEST_INVALID" },
    { method: "GET", path: "/requests?from=yesterday", status: 400, code: "API_REQUEST_INVALID" },
    { method: "GET", path: "/requests?cursor=abc", status: 400, code: "API_CURSOR_INVALID" },
    { method: "GET", path: "/requests?sources=stripe", status: 400, code: "API_REQUEST_INVALID" },
    { method: "GET", path: `/requests/${unknown}`, status: 404, code: "REQUEST_NOT_FOUND" },
    { method: "GET", path: "/requests/1", status: 400, code: "API_REQUEST_INVALID" },
    { method: "GET", path: `/requests/${unknown}/body`, status: 404, code: "REQUEST_NOT_FOUND" },
    { method: "GET", path: `/events/${unknown}`, status: 404, code: "WEBHOOK_EVENT_NOT_FOUND" },
    { method: "GET", path: `/replays/${unknown}`, status: 404, code: "REPLAY_NOT_FOUND" },
    { method: "POST", path: `/requests/${unknown}/verify`, payload: order, status: 404, code: "REQUEST_NOT_FOUND" },
    { method: "POST", path: `/events/${unknown}/replay`, payload: order, status: 404, code: "WEBHOOK_EVENT_NOT_FOUND" },
    { method: "POST", path: `/events/${unknown}/replay`, payload: {}, status: 400, code: "API_REQUEST_INVALID" },
    { method: "POST", path: `/replays/${unknown}/abort`, payload: {}, status: 404, code: "REPLAY_NOT_FOUND" },
    { method: "POST", path: "/replays", payload: { ...order, rate: 0 }, status: 400, code: "API_REQUEST_INVALID" },
    {
      method: "POST",
      path: "/replays",
      payload: { ...order, filter: { statuses: ["rejected"] } },
      status: 400,
      code: "API_REQUEST_INVALID",
    },
    { method: "PUT", path: "/sources/stripe/dedupe", payload: { days: 0 }, status: 400, code: "API_REQUEST_INVALID" },
  ] as const)("$method $path is $status $code", async ({ method, path, status, code, ...rest }) => {
    const payload = "payload" in rest ? rest.payload : undefined;
    expect(await call(method, path, payload)).toMatchObject({ status, body: { code } });
  });

  test("a source's own time for its dedupe keys is set and taken back", async () => {
    expect((await call("PUT", "/sources/stripe/dedupe", { days: 60 })).status).toBe(204);
    expect(await dedupeDays()).toMatchObject([{ source: "stripe", retention_days: 60 }]);
    expect((await call("PUT", "/sources/stripe/dedupe", { days: null })).status).toBe(204);
    expect(await dedupeDays()).toEqual([]);
  });
});
