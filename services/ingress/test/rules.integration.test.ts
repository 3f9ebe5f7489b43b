import type { Rule } from "@warren/contracts";
import { defineJob } from "@warren/jobs";
import { createWorld, waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { route } from "../src/routing/route.ts";
import { jobsOf, post, prepare, startIngress } from "./fixture.ts";
import { api, create, endpoint, known, rowOf, send, settings, toJob } from "./rules-fixture.ts";
import { hmacHex } from "./signed.ts";

const failed = (rule: string, code: string) => ({ rule, failed: { code, message: expect.any(String) as string } });
const made = (rule: string) => ({ rule, made: "job", id: expect.any(String) as string });
const namesOf = (jobs: readonly Readonly<Record<string, unknown>>[]) => jobs.map((job) => String(job["name"])).sort();
const bounce = (email: string) => ({ event: "bounce", email, n: 1 });

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
    await waitFor(async () => (await known(two)) === 4, { what: "the other process to know the rules" });

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
