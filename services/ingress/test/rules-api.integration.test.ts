import type { Rule } from "@warren/contracts";
import { createWorld } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { jobsOf, post, prepare, requestsOf, startIngress } from "./fixture.ts";
import { api, create, endpoint, known, rowOf, send, settings, toJob } from "./rules-fixture.ts";

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
