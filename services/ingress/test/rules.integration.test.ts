import type { Rule, RuleTestAnswer } from "@warren/contracts";
import { defineJob } from "@warren/jobs";
import { createWorld } from "@warren/testing";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { route } from "../src/routing/route.ts";
import { jobsOf, post, prepare, type RunningIngress, requestsOf, startIngress } from "./fixture.ts";
import { hmacHex } from "./signed.ts";

const key = "0123456789abcdef0123456789";
const endpoint = "0199c5c4-6a00-7000-8000-00000000000e";
const sources = {
  shop: { provider: "hmac", secrets: ["s3cret"], options: { header: "x-sig", eventType: { json: "/type" } } },
};
const settings = { sources, notify: undefined, apiKeys: [key] };

async function api(
  { ingress }: RunningIngress,
  method: "GET" | "POST" | "PATCH" | "DELETE",
  path: string,
  payload?: object,
) {
  const answer = await ingress.api?.inject({
    method,
    url: `/api/v1${path}`,
    headers: { authorization: `Bearer ${key}` },
    ...(payload === undefined ? {} : { payload }),
  });
  const body: unknown = answer?.body === "" ? undefined : answer?.json();
  return { status: answer?.statusCode, body: body as Record<string, unknown> };
}

async function create(running: RunningIngress, rule: object): Promise<Rule> {
  const { status, body } = await api(running, "POST", "/rules", rule);
  expect(body).toMatchObject({ revision: 1 });
  expect(status).toBe(201);
  return body as unknown as Rule;
}

async function send(running: RunningIngress, payload: object | string): Promise<string> {
  const body = typeof payload === "string" ? payload : JSON.stringify(payload);
  const headers = { "content-type": "application/json", "x-sig": hmacHex("s3cret", body) };
  const answer = await post(running, "shop", headers, body);
  expect([answer.status, answer.body["status"]]).toEqual([202, "accepted"]);
  return String(answer.body["requestId"]);
}

async function rowOf(running: RunningIngress, id: string) {
  return (await requestsOf(running)).find((row) => row["id"] === id) ?? {};
}

/** How many rules an ingress would ask about an event of the shop. */
async function known(running: RunningIngress): Promise<number> {
  const { body } = await api(running, "POST", "/rules/test", { event: { source: "shop", body: {} } });
  return (body as unknown as RuleTestAnswer).results.length;
}

const toJob = (name: string, more: object = {}) => ({
  name,
  source: "shop",
  to: { kind: "job", job: `shop.${name}`, queue: "orders" },
  ...more,
});

const failed = (rule: string, code: string) => ({ rule, failed: { code, message: expect.any(String) as string } });
const made = (rule: string) => ({ rule, made: "job", id: expect.any(String) as string });
const namesOf = (jobs: readonly Readonly<Record<string, unknown>>[]) => jobs.map((job) => String(job["name"])).sort();

describe("rules made at run time", () => {
  test("make jobs, events and deliveries in every process, with the acceptance", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using one = await startIngress(world, settings);
    await using two = await startIngress(world, settings);
    await create(one, {
      ...toJob("large"),
      types: ["order.*"],
      when: { path: "$.data.total", op: "gte", value: 100 },
      payload: {
        id: { $path: "$.data.id" },
        skus: { $path: "$.data.items[*].sku" },
        by: { $event: "source" },
        none: { $path: "$.x" },
      },
      to: {
        kind: "job",
        job: "shop.large",
        queue: "orders",
        version: 2,
        attempts: 7,
        key: "$.data.customer",
        unique: { by: ["$.data.id"], onConflict: "replace" },
        priority: 3,
      },
    });
    await create(one, {
      name: "publish",
      to: { kind: "event", subject: "$.data.id", orderingKey: "$.data.customer" },
    });
    await create(one, { name: "forward", types: ["order.paid"], to: { kind: "delivery", endpoint } });
    await create(one, {
      name: "made",
      types: ["order.paid"],
      transform: {
        code: "function transform({ body, type }) { return body.data.skip ? null : { total: body.data.total * 2, type }; }",
      },
      to: { kind: "job", job: "shop.made", queue: "orders" },
    });
    await create(one, { ...toJob("off"), enabled: false });
    await create(one, { ...toJob("other"), source: "elsewhere" });
    await vi.waitFor(async () => expect(await known(two)).toBe(4), { timeout: 5_000, interval: 100 });

    const paid = {
      type: "order.paid",
      data: { id: "o-1", customer: "anna", total: 120, items: [{ sku: "a" }, { sku: "b" }] },
    };
    const first = await send(two, paid);
    const jobs = await jobsOf(two);
    expect(namesOf(jobs)).toEqual(["deliver-webhook", "shop.large", "shop.made"]);
    expect(jobs.find((job) => job["name"] === "shop.large")).toMatchObject({
      queue: "orders",
      version: 2,
      max_attempts: 7,
      priority: 3,
      limit_key: "anna",
      payload: { id: "o-1", skus: ["a", "b"], by: "shop" },
    });
    expect(jobs.find((job) => job["name"] === "shop.made")?.["payload"]).toEqual({ total: 240, type: "order.paid" });
    expect(jobs.find((job) => job["name"] === "deliver-webhook")).toMatchObject({
      limit_key: endpoint,
      payload: { endpoint, eventType: "order.paid", payload: paid },
    });
    const outbox = await two.ledger.query(`select * from ${two.ledger.table("event_outbox")}`, []);
    expect(outbox.rows).toMatchObject([
      { type: "webhooks.shop.order.paid", ordering_key: "anna", body: JSON.stringify(paid) },
    ]);
    const idOf = (name: string) => jobs.find((job) => job["name"] === name)?.["id"];
    expect(await rowOf(two, first)).toMatchObject({
      routing: null,
      routes: [
        { rule: "forward", made: "delivery", id: idOf("deliver-webhook") },
        { rule: "large", made: "job", id: idOf("shop.large") },
        { rule: "made", made: "job", id: idOf("shop.made") },
        { rule: "publish", made: "event", id: outbox.rows[0]?.["event_id"] },
      ],
    });
    expect(two.announced.map(({ id }) => id).sort()).toEqual(jobs.map((job) => String(job["id"])).sort());
    expect(await two.metrics.value("warren_webhook_routed_total", { rule: "large", made: "job" })).toBe(1);

    // the same order again is another event, and its unique job the same job with the newer payload
    const second = await send(two, { ...paid, data: { ...paid.data, total: 130, items: [] } });
    const large = (await jobsOf(two)).filter((job) => job["name"] === "shop.large");
    expect(large).toMatchObject([{ id: idOf("shop.large"), payload: { skus: [] } }]);
    expect((await rowOf(two, second))["job_ids"]).toContain(idOf("shop.large"));
    // a duplicate makes nothing
    const before = (await jobsOf(two)).length;
    const body = JSON.stringify(paid);
    const again = await post(
      one,
      "shop",
      { "content-type": "application/json", "x-sig": hmacHex("s3cret", body) },
      body,
    );
    expect(again.body["status"]).toBe("duplicate");
    expect(await jobsOf(two)).toHaveLength(before);
  });

  test("that fail keep the event, say why by name, let the others work, and make it good when routed again", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world, settings);
    const odd = await create(running, toJob("filter", { when: { path: "$.total", op: "gt", value: 10 } }));
    await create(running, toJob("skip", { when: { path: "$.total", op: "gt", value: 10 }, onFilterError: "skip" }));
    const broken = await create(
      running,
      toJob("broken", { transform: { code: "function transform(e) { return e.body.a.b; }" } }),
    );
    await create(running, toJob("loops", { transform: { code: "function transform() { for (;;); }", timeoutMs: 20 } }));
    await create(running, {
      name: "mail",
      payload: { to: "nobody" },
      to: { kind: "job", job: "notifications.send-template" },
    });
    await create(running, toJob("well", { payload: {} }));
    const id = await send(running, { total: "12" });
    expect(await rowOf(running, id)).toMatchObject({
      status: "accepted",
      routing: "failed",
      routes: [
        failed("broken", "ROUTE_TRANSFORM_FAILED"),
        made("filter"),
        failed("filter", "ROUTE_FILTER_FAILED"),
        failed("loops", "ROUTE_TRANSFORM_TIMEOUT"),
        failed("mail", "ROUTE_OUTPUT_REFUSED"),
        failed("skip", "ROUTE_FILTER_FAILED"),
        made("well"),
      ],
    });
    const labels = { rule: "broken", code: "ROUTE_TRANSFORM_FAILED" };
    expect(await running.metrics.value("warren_webhook_routing_failures_total", labels)).toBe(1);
    expect(await jobsOf(running)).toHaveLength(2);

    const mended = await api(running, "PATCH", `/rules/${broken.id}`, {
      revision: 1,
      transform: { code: "function transform(e) { return { total: Number(e.body.total) }; }" },
    });
    expect(mended.body).toMatchObject({ revision: 2, name: "broken", source: "shop" });
    await api(running, "DELETE", `/rules/${odd.id}`);
    const rerouted = await api(running, "POST", "/rules/reroute", { routing: "failed", source: "shop" });
    expect(rerouted.body).toMatchObject({
      items: [
        {
          requestId: id,
          routing: "failed",
          routes: [
            { rule: "broken", made: "job" },
            { rule: "loops", failed: { code: "ROUTE_TRANSFORM_TIMEOUT" } },
            { rule: "mail", failed: { code: "ROUTE_OUTPUT_REFUSED" } },
            { rule: "skip", failed: { code: "ROUTE_FILTER_FAILED" } },
          ],
        },
      ],
      nextCursor: null,
    });
    const jobs = await jobsOf(running);
    expect(namesOf(jobs)).toEqual(["shop.broken", "shop.filter", "shop.well"]);
    expect((await rowOf(running, id))["job_ids"]).toHaveLength(3);
    expect(running.announced).toHaveLength(3);

    for (const { id: rule, name } of (await api(running, "GET", "/rules")).body["items"] as Rule[]) {
      if (["loops", "mail", "skip"].includes(name)) await api(running, "DELETE", `/rules/${rule}`);
    }
    const all = await Promise.all([1, 2, 3].map(() => api(running, "POST", "/rules/reroute", { requestIds: [id] })));
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await rowOf(running, id)).toMatchObject({ routing: null });
    expect(await jobsOf(running)).toHaveLength(3);
    await api(running, "POST", "/rules/reroute", { requestIds: [id], anew: true });
    expect(await jobsOf(running)).toHaveLength(5);
  });

  test("take each event that a webhook carries by itself, all or none", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world, settings);
    await create(running, {
      name: "bounces",
      each: "$[*]",
      when: { path: "$.event", op: "eq", value: "bounce" },
      payload: { email: { $path: "$.email" }, id: { $event: "id" } },
      to: { kind: "job", job: "mail.bounced", queue: "mail", key: "$.email" },
    });
    const code = "function transform({ body }) { return { n: body.n.valueOf() }; }";
    await create(running, {
      name: "all",
      each: "$[*]",
      transform: { code },
      to: { kind: "event", type: "mail.happened" },
    });
    const bounce = (email: string) => ({ event: "bounce", email, n: 1 });
    const id = await send(running, [bounce("a"), { event: "open", email: "b", n: 2 }, bounce("c")]);
    expect((await jobsOf(running)).map((job) => [job["payload"], job["limit_key"]])).toEqual([
      [{ email: "a", id: `${id}:0` }, "a"],
      [{ email: "c", id: `${id}:2` }, "c"],
    ]);
    const outbox = `select body from ${running.ledger.table("event_outbox")} order by position`;
    expect((await running.ledger.query(outbox, [])).rows.map((row) => row["body"])).toEqual([
      '{"n":1}',
      '{"n":2}',
      '{"n":1}',
    ]);

    const odd = await send(running, [bounce("d"), { event: "open", email: "e" }]);
    expect(await rowOf(running, odd)).toMatchObject({
      routing: "failed",
      routes: [
        {
          rule: "all",
          failed: { code: "ROUTE_TRANSFORM_FAILED", message: expect.stringMatching(/^part 1: /) as string },
        },
        made("bounces"),
      ],
    });
    expect((await running.ledger.query(outbox, [])).rows).toHaveLength(3);
    const many = await send(
      running,
      Array.from({ length: 1_001 }, () => bounce("f")),
    );
    expect(await rowOf(running, many)).toMatchObject({
      routes: [failed("all", "ROUTE_FILTER_FAILED"), failed("bounces", "ROUTE_FILTER_FAILED")],
    });
    expect(await rowOf(running, await send(running, []))).toMatchObject({ routing: "unmatched" });
  });

  test("that come later take events that nobody took; those are marked and counted until then", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world, settings);
    const ids = [await send(running, { n: 1 }), await send(running, { n: 2 }), await send(running, "no JSON")];
    for (const id of ids)
      expect(await rowOf(running, id)).toMatchObject({ routing: "unmatched", routes: null, job_ids: [] });
    expect(await running.metrics.value("warren_webhook_unmatched_total", { source: "shop" })).toBe(3);

    await create(running, toJob("late"));
    const firstPage = await api(running, "POST", "/rules/reroute", { routing: "unmatched", limit: 2 });
    expect(firstPage.body).toMatchObject({
      items: [
        { requestId: ids[0], routing: null },
        { requestId: ids[1], routing: null },
      ],
    });
    const cursor = firstPage.body["nextCursor"];
    expect(cursor).toEqual(expect.any(String));
    const lastPage = await api(running, "POST", "/rules/reroute", { routing: "unmatched", limit: 2, cursor });
    expect(lastPage.body).toMatchObject({
      items: [{ requestId: ids[2], routing: "failed", routes: [{ failed: { code: "ROUTE_OUTPUT_REFUSED" } }] }],
      nextCursor: null,
    });
    expect((await jobsOf(running)).map((job) => job["payload"])).toEqual([{ n: 1 }, { n: 2 }]);
    // what another run of the event made is there, too
    const run = `insert into ${running.ledger.table("webhook_event_runs")} (id, event_id, kind, requested_by, reason, made, routes)
      values (gen_random_uuid(), $1, 'missing', 'test', 'test', array[$2::uuid], $3)`;
    const report = JSON.stringify([{ rule: "late", made: "job", id: endpoint }]);
    await running.ledger.query(run, [ids[2], endpoint, report]);
    expect((await api(running, "POST", "/rules/reroute", { requestIds: [ids[2]] })).body).toMatchObject({
      items: [{ routing: null, routes: [] }],
    });
    // nested deeper than anything of ours follows
    await create(running, toJob("deep", { transform: { code: "function transform(e) { return e.body; }" } }));
    const deep = await send(running, `${"[".repeat(200_000)}${"]".repeat(200_000)}`);
    expect(await rowOf(running, deep)).toMatchObject({
      routing: "failed",
      routes: [
        { rule: "deep", failed: { code: "ROUTE_OUTPUT_REFUSED" } },
        { rule: "late", failed: { code: "ROUTE_OUTPUT_REFUSED" } },
      ],
    });
    const unknown = await api(running, "POST", "/rules/reroute", { requestIds: [endpoint] });
    expect(unknown.body).toMatchObject({ items: [{ refused: { code: "ROUTE_REQUEST_UNKNOWN" } }] });
  });
});

describe("rules in code", () => {
  test("that fail, or make what cannot be stored, keep the event and can be routed again without doubling the others", async () => {
    await using world = await createWorld();
    await prepare(world);
    let mended = false;
    const job = defineJob({ name: "shop.code", queue: "orders", payload: z.object({ n: z.number() }) });
    const rules = [
      route({ name: "throws" }).toJob(job, () => {
        if (!mended) throw new Error("not yet");
        return { n: 1 };
      }),
      route({ name: "poison", when: ({ eventType }) => eventType === "poison" }).toJob(
        job,
        () => ({ n: 2 }),
        () => (mended ? {} : { key: "\u0000" }),
      ),
      route({ name: "well", otherwise: true }).toJob(job, () => ({ n: 3 })),
    ];
    await using running = await startIngress(world, { ...settings, rules });
    const plain = await send(running, { type: "plain" });
    const poison = await send(running, { type: "poison" });
    expect(await rowOf(running, plain)).toMatchObject({
      routing: "failed",
      routes: [
        { rule: "code/throws", failed: { code: "ROUTE_MAP_FAILED", message: "not yet" } },
        { rule: "code/well", made: "job" },
      ],
    });
    expect((await rowOf(running, poison))["routes"]).toMatchObject([
      { rule: "code/throws", failed: { code: "ROUTE_MAP_FAILED" } },
      { rule: "code/poison", failed: { code: "ROUTE_OUTPUT_REFUSED" } },
    ]);
    expect(await jobsOf(running)).toHaveLength(1);

    mended = true;
    await api(running, "POST", "/rules/reroute", { routing: "failed" });
    expect((await jobsOf(running)).map((one) => (one["payload"] as { n: number }).n).sort((a, b) => a - b)).toEqual([
      1, 1, 2, 3,
    ]);
    for (const id of [plain, poison]) expect((await rowOf(running, id))["routing"]).toBeNull();
    // routed by code alone: no report, and nothing to do
    const quiet = await send(running, { type: "quiet" });
    expect(await rowOf(running, quiet)).toMatchObject({ routing: null, routes: null });
    await api(running, "POST", "/rules/reroute", { requestIds: [quiet] });
    expect(await jobsOf(running)).toHaveLength(5);
    // nor after a rule that came later has left a report of its own
    await create(running, toJob("later"));
    for (const _ of [1, 2]) {
      await api(running, "POST", "/rules/reroute", { requestIds: [quiet] });
      expect(await jobsOf(running)).toHaveLength(6);
    }
  });
});

describe("a dry run", () => {
  test("shows what a rule would do with a stored request or a given event, and does nothing", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world, settings);
    const id = await send(running, { type: "order.paid", total: 12 });
    const rule = toJob("try", {
      types: ["order.*"],
      when: { path: "$.total", op: "gt", value: 10 },
      transform: {
        code: "function transform(e) { console.log('total', e.body.total); return { total: e.body.total }; }",
      },
      to: { kind: "job", job: "shop.try", queue: "orders", key: "$.type" },
    });
    const { status, body } = await api(running, "POST", "/rules/test", { rule, requestId: id });
    expect(status).toBe(200);
    expect(body["results"]).toEqual([
      {
        rule: "try",
        takes: true,
        filter: { outcome: "fits", why: null },
        transform: { output: { total: 12 }, logs: ["total 12"], durationMs: expect.any(Number) as number },
        would: [
          expect.objectContaining({
            kind: "job",
            job: "shop.try",
            queue: "orders",
            key: "order.paid",
            payload: { total: 12 },
          }),
        ],
        failed: null,
      },
    ]);
    const given = async (event: object) =>
      (await api(running, "POST", "/rules/test", { rule, event: { source: "shop", ...event } })).body["results"];
    expect(await given({ type: "refund", body: {} })).toMatchObject([{ takes: false, filter: null, would: [] }]);
    expect(await given({ type: "order.paid", body: { total: 1 } })).toMatchObject([
      { takes: true, filter: { outcome: "unfit" } },
    ]);
    expect(await given({ type: "order.paid", body: { total: "1" } })).toMatchObject([
      {
        filter: { outcome: "failed", why: '$.total is string, which "gt" cannot compare' },
        failed: { code: "ROUTE_FILTER_FAILED" },
      },
    ]);
    expect(await jobsOf(running)).toEqual([]);
    expect(await rowOf(running, id)).toMatchObject({ routing: "unmatched" });

    const refused = async (payload: object) => {
      const answer = await api(running, "POST", "/rules/test", payload);
      return [answer.status, answer.body["code"]];
    };
    expect(await refused({ rule, requestId: endpoint })).toEqual([404, "ROUTE_REQUEST_UNKNOWN"]);
    expect(await refused({ ruleId: endpoint, requestId: id })).toEqual([404, "ROUTE_RULE_UNKNOWN"]);
    expect(await refused({ rule })).toEqual([400, "API_REQUEST_INVALID"]);
    await post(running, "shop", { "content-type": "application/json", "x-sig": "wrong" }, "{}");
    await running.ingress.drain();
    const rejected = (await requestsOf(running)).find((row) => row["status"] === "rejected");
    expect(await refused({ rule, requestId: rejected?.["id"] })).toEqual([409, "ROUTE_REQUEST_NOT_ACCEPTED"]);
  });
});

describe("the API of rules", () => {
  test("keeps, lists, changes and deletes them, and refuses what is wrong with a code", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world, settings);
    const rule = await create(running, toJob("b", { when: { any: [{ path: "$.a", op: "exists", value: true }] } }));
    for (const name of ["a", "c"]) await create(running, toJob(name));
    expect((await api(running, "GET", `/rules/${rule.id}`)).body).toEqual(rule);

    const page = await api(running, "GET", "/rules?limit=2");
    expect((page.body["items"] as Rule[]).map(({ name }) => name)).toEqual(["a", "b"]);
    const rest = await api(running, "GET", `/rules?limit=2&cursor=${String(page.body["nextCursor"])}`);
    expect((rest.body["items"] as Rule[]).map(({ name }) => name)).toEqual(["c"]);
    expect(rest.body["nextCursor"]).toBeNull();

    const changed = await api(running, "PATCH", `/rules/${rule.id}`, { when: null, types: ["x.*"], revision: 1 });
    expect(changed.body).toMatchObject({ revision: 2, when: null, types: ["x.*"], to: rule.to });

    const problemOf = async (...call: Parameters<typeof api> extends [unknown, ...infer Rest] ? Rest : never) => {
      const { status, body } = await api(running, ...call);
      return [status, body["code"]];
    };
    const of = `/rules/${rule.id}`;
    expect(await problemOf("PATCH", of, { enabled: false, revision: 1 })).toEqual([409, "ROUTE_RULE_CHANGED"]);
    expect(await problemOf("PATCH", of, { name: "a" })).toEqual([409, "ROUTE_RULE_NAME_TAKEN"]);
    expect(await problemOf("POST", "/rules", toJob("a"))).toEqual([409, "ROUTE_RULE_NAME_TAKEN"]);
    expect(await problemOf("GET", `/rules/${endpoint}`)).toEqual([404, "ROUTE_RULE_UNKNOWN"]);
    expect(await problemOf("DELETE", `/rules/${endpoint}`)).toEqual([404, "ROUTE_RULE_UNKNOWN"]);
    const code = "function transform() { return 1; }";
    for (const wrong of [
      toJob("d", { to: { kind: "job", job: "shop.unknown" } }),
      toJob("d", { to: { kind: "job", job: "notifications.send-template", queue: "orders" } }),
      toJob("d", { payload: { a: { $path: "a" } } }),
      toJob("d", { payload: { a: { $event: "nothing" } } }),
      toJob("d", { payload: { $path: "$.a", b: 1 } }),
    ]) {
      expect(await problemOf("POST", "/rules", wrong)).toEqual([400, "ROUTE_RULE_INVALID"]);
    }
    expect(await problemOf("PATCH", of, { transform: { code }, payload: {} })).toEqual([400, "ROUTE_RULE_INVALID"]);
    for (const wrong of ["function transform( {", "const x = 1", "for (;;);"]) {
      expect(await problemOf("POST", "/rules", toJob("d", { transform: { code: wrong } }))).toEqual([
        400,
        "ROUTE_TRANSFORM_INVALID",
      ]);
    }
    for (const wrong of [
      {},
      toJob("D"),
      toJob("d", { transform: { code }, payload: {} }),
      toJob("d", { when: { path: "$..a", op: "eq", value: 1 } }),
      toJob("d", { transform: { code, timeoutMs: 1_001 } }),
      toJob("d", { to: { kind: "delivery", endpoint: "x" } }),
      toJob("d", { more: 1 }),
    ]) {
      expect(await problemOf("POST", "/rules", wrong)).toEqual([400, "API_REQUEST_INVALID"]);
    }
    expect((await api(running, "DELETE", of)).status).toBe(204);
    expect(await known(running)).toBe(2);
  });
});
