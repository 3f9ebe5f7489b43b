import { defineEvent, defineJob } from "@warren/jobs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createEvent, type WebhookEvent } from "../src/intake/event.ts";
import { createCodeRouter } from "../src/routing/code-router.ts";
import { type CodeRule, route } from "../src/routing/route.ts";
import { gather } from "../src/routing/routed.ts";
import { routes } from "./examples/routes.ts";

const shipOrder = defineJob({ name: "orders.ship", queue: "orders", payload: z.object({ orderId: z.string() }) });
const orderPaid = defineEvent({ type: "orders.paid", schema: z.object({ orderId: z.string() }) });
const body = z.object({ order: z.object({ id: z.string(), customer: z.string(), total: z.number() }) });
const origin = { correlationId: "c-1", trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" };

function event(given: unknown, more: Partial<WebhookEvent> = {}): WebhookEvent {
  const made = createEvent({
    requestId: "0199c5c4-6a00-7000-8000-000000000001",
    source: "shop",
    provider: "hmac",
    eventId: "evt_1",
    eventType: "order.paid",
    receivedAt: new Date("2026-11-22T12:00:00Z"),
    url: "/webhooks/shop?a=1&a=2&b=3",
    rawHeaders: ["X-Shop", "eu", "x-shop", "us", "Authorization", "Bearer secret"],
    body: Buffer.from(JSON.stringify(given)),
    parsed: undefined,
  });
  return { ...made, ...more };
}

const paid = { order: { id: "o-1", customer: "anna", total: 12 } };
const routed = (rules: readonly CodeRule[], given: WebhookEvent = event(paid)) =>
  gather(createCodeRouter(rules)(given, origin), false);

describe("a rule in code", () => {
  test("makes jobs with a key, events and deliveries of the parsed body, with the request's correlation and trace", () => {
    const rule = route({ name: "paid", source: "shop", types: ["order.*"], body })
      .toJob(
        shipOrder,
        (_event, { order }) => ({ orderId: order.id }),
        (_event, { order }) => ({ key: order.customer, unique: { key: order.id } }),
      )
      .toEvent(
        orderPaid,
        (_event, { order }) => ({ orderId: order.id }),
        (_event, { order }) => ({ subject: order.id, orderingKey: order.customer }),
      )
      .toDelivery((_event, { order }) => ({ endpoint: "0199c5c4-6a00-7000-8000-00000000000e", payload: order }))
      .toDelivery(({ eventType }) => ({ payload: { eventType }, eventType: "shop.paid" }));
    const { jobs, events, routes } = routed([rule]);
    expect(jobs).toMatchObject([
      {
        name: "orders.ship",
        queue: "orders",
        payload: { orderId: "o-1" },
        limitKey: "anna",
        unique: { key: "o-1", until: "finished" },
        correlationId: "c-1",
        trace: origin.trace,
      },
      {
        name: "deliver-webhook",
        limitKey: "0199c5c4-6a00-7000-8000-00000000000e",
        payload: {
          eventType: "order.paid",
          eventId: "evt_1",
          createdAt: "2026-11-22T12:00:00.000Z",
          payload: paid.order,
        },
      },
      { name: "publish-webhook", payload: { eventType: "shop.paid", payload: { eventType: "order.paid" } } },
    ]);
    expect(events).toMatchObject([
      {
        type: "orders.paid",
        orderingKey: "anna",
        body: '{"orderId":"o-1"}',
        correlationId: "c-1",
        headers: { cloudEvents_type: "orders.paid", cloudEvents_subject: "o-1", traceparent: origin.trace },
      },
    ]);
    expect(routes).toEqual([
      { rule: "code/paid", made: "job", job: 0 },
      { rule: "code/paid", made: "event", event: 0 },
      { rule: "code/paid", made: "delivery", job: 1 },
      { rule: "code/paid", made: "delivery", job: 2 },
    ]);
  });

  test.for([
    { what: "another source", more: { source: "other" } },
    { what: "another provider", more: { provider: "stripe" } },
    { what: "another type", more: { eventType: "refund.paid" } },
    { what: "no type", more: { eventType: undefined } },
  ] as const)("does not take events of $what", ({ more }) => {
    const rule = route({ name: "a", source: ["shop"], provider: ["hmac"], types: ["order.*"] }).toJob(
      shipOrder,
      () => ({
        orderId: "x",
      }),
    );
    expect(routed([rule]).jobs).toHaveLength(1);
    expect(routed([rule], event(paid, more))).toMatchObject({ jobs: [], events: [], results: [] });
  });

  test("takes what its function says, and `otherwise` what no rule before it made anything of", () => {
    const large = route({ name: "large", body, when: (_event, { order }) => order.total > 100 }).toJob(
      shipOrder,
      () => ({
        orderId: "large",
      }),
    );
    const rest = route({ name: "rest", otherwise: true }).toJob(shipOrder, () => ({ orderId: "rest" }));
    const made = (total: number) =>
      routed([large, rest], event({ order: { ...paid.order, total } })).jobs.map(({ payload }) => payload);
    expect(made(101)).toEqual([{ orderId: "large" }]);
    expect(made(100)).toEqual([{ orderId: "rest" }]);
  });

  test("sees headers without credentials, the query, and the fields of a form", () => {
    const seen = event(paid);
    expect(seen.headers()).toEqual({ "x-shop": "eu, us" });
    expect(seen.query()).toEqual({ a: ["1", "2"], b: "3" });
    const form = createEvent({
      ...event(paid),
      url: "/",
      rawHeaders: ["content-type", "application/x-www-form-urlencoded"],
      body: Buffer.from("a=1&b=x+y"),
      parsed: undefined,
    });
    expect(form.payload()).toEqual({ a: "1", b: "x y" });
    const wrapped = createEvent({
      ...event(paid),
      provider: "slack",
      url: "/",
      rawHeaders: ["Content-Type", "application/x-www-form-urlencoded; charset=utf-8"],
      body: Buffer.from(`payload=${encodeURIComponent('{"type":"block_actions"}')}`),
      parsed: undefined,
    });
    expect(wrapped.payload()).toEqual({ type: "block_actions" });
  });

  test("that fails says why, by name, and the others run", () => {
    const well = route({ name: "well" }).toJob(shipOrder, () => ({ orderId: "x" }));
    const { jobs, routes } = routed([
      route({ name: "body", body: z.object({ order: z.object({ id: z.number() }) }) }).toJob(shipOrder, () => ({
        orderId: "x",
      })),
      route({
        name: "refinement",
        body: z.unknown().refine(() => {
          throw new Error("refined too far");
        }),
      }).toJob(shipOrder, () => ({ orderId: "x" })),
      route({
        name: "map",
      }).toJob(shipOrder, () => {
        throw new Error("no such\ncustomer");
      }),
      route({ name: "payload" }).toJob(shipOrder, () => ({ orderId: 1 as unknown as string })),
      route({ name: "unstorable" }).toJob(shipOrder, () => ({ orderId: "\u0000" })),
      route({
        name: "filter",
        when: () => {
          throw new TypeError("undefined is not");
        },
      }).toJob(shipOrder, () => ({ orderId: "all the same" })),
      well,
    ]);
    expect(jobs.map(({ payload }) => payload)).toEqual([{ orderId: "all the same" }, { orderId: "x" }]);
    const failed = (routes ?? []).flatMap((one) =>
      "failed" in one ? [[one.rule, one.failed.code, one.failed.message]] : [],
    );
    expect(failed).toEqual([
      ["code/body", "ROUTE_BODY_INVALID", expect.stringContaining("order.id")],
      ["code/refinement", "ROUTE_BODY_INVALID", "refined too far"],
      ["code/map", "ROUTE_MAP_FAILED", "no such customer"],
      ["code/payload", "ROUTE_OUTPUT_REFUSED", expect.stringContaining("JOB_PAYLOAD_INVALID")],
      ["code/unstorable", "ROUTE_OUTPUT_REFUSED", expect.stringContaining("JOB_PAYLOAD_UNSERIALISABLE")],
      ["code/filter", "ROUTE_FILTER_FAILED", "undefined is not"],
    ]);
  });

  test("makes a job of each of a list, or none when one of them fails", () => {
    const each = route({ name: "each" }).toJobs(
      shipOrder,
      ({ payload }) => payload() as { orderId: string }[],
      ({ orderId }) => ({ key: orderId }),
    );
    const { jobs } = routed([each], event([{ orderId: "a" }, { orderId: "b" }]));
    expect(jobs.map(({ limitKey }) => limitKey)).toEqual(["a", "b"]);
    const { jobs: none, routes: report } = routed([each], event([{ orderId: "a" }, {}]));
    expect(none).toEqual([]);
    expect(report).toMatchObject([{ rule: "code/each", failed: { code: "ROUTE_OUTPUT_REFUSED" } }]);
    expect(routed([each], event([]))).toMatchObject({ jobs: [], results: [] });
  });

  test("reads like the example", () => {
    const { jobs, events } = routed(routes);
    expect(jobs.map(({ name, limitKey }) => [name, limitKey])).toEqual([
      ["orders.ship", "anna"],
      ["publish-webhook", undefined],
    ]);
    expect(events.map(({ type }) => type)).toEqual(["orders.paid"]);
  });

  test("is refused when another has its name", () => {
    const rules = [route({ name: "a" }), route({ name: "a" })];
    expect(() => createCodeRouter(rules)).toThrow('two routes are called "code/a"');
  });
});
