import {
  createEndpointStore,
  createWebhookDeliveries,
  type EndpointStore,
  newId,
  type WebhookDeliveryStore,
} from "@warren/ledger";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LedgerWorld, openLedgerWorld } from "./support/ledger-world.ts";

let world: LedgerWorld;
let endpoints: EndpointStore;
let deliveries: WebhookDeliveryStore;
beforeAll(async () => {
  world = await openLedgerWorld();
  endpoints = createEndpointStore(world.ledger);
  deliveries = createWebhookDeliveries(world.ledger);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const content = { url: "https://example.com/", eventTypes: ["a.*"], settings: { timeoutMs: 1 }, sealed: undefined };
const aSecret = () => ({ id: newId(), kind: "v1", publicKey: undefined, sealed: "s1:…" }) as const;

async function anEndpoint(): Promise<string> {
  const id = newId();
  await endpoints.insert(id, content, aSecret());
  return id;
}

function aDelivery(endpointId: string, more: { id?: string; jobId?: string; body?: string } = {}) {
  const id = more.id ?? newId();
  const event = { eventType: "a.b", eventId: "e1", webhookId: "e1", body: "{}" };
  return { ...event, id, jobId: id, endpointId, ...more };
}

const report = (deliveryId: string, number: number, outcome: "delivered" | "failed", retryInMs?: number) => ({
  deliveryId,
  number,
  outcome,
  reason: outcome === "failed" ? "DELIVERY_STATUS" : undefined,
  detail: "a\u0000b",
  durationMs: 12.4,
  address: "192.0.2.1",
  requestHeaders: ["webhook-id", "e1"],
  response: { status: 500, headers: ["x", "y"], body: Buffer.from([0, 255]), truncated: false },
  retryInMs,
});

test("every try of a delivery sends what the first one did, and one that was cut off is lost", async () => {
  const given = aDelivery(await anEndpoint());
  expect(await deliveries.begin(given, "https://a/")).toEqual({ number: 1, webhookId: "e1", body: "{}" });
  const again = { ...given, body: "changed", webhookId: "changed" };
  expect(await deliveries.begin(again, "https://b/")).toEqual({ number: 2, webhookId: "e1", body: "{}" });
  await deliveries.settle(report(given.id, 2, "failed", 60_000));
  const waiting = await deliveries.find(given.id);
  expect(waiting).toMatchObject({ state: "pending", attempts: 2, reason: "DELIVERY_STATUS" });
  expect((waiting?.nextAt?.getTime() ?? 0) - (waiting?.updatedAt.getTime() ?? 0)).toBe(60_000);
  expect(await deliveries.attempts(given.id, 10)).toMatchObject([
    {
      number: 2,
      outcome: "failed",
      url: "https://b/",
      durationMs: 12,
      detail: "a\uFFFDb",
      response: { status: 500, headers: ["x", "y"], body: Buffer.from([0, 255]), truncated: false },
    },
    { number: 1, outcome: "lost", url: "https://a/", response: undefined },
  ]);
  expect(await deliveries.attempts(given.id, 10, 2)).toMatchObject([{ number: 1 }]);
});

test("what was delivered is not begun again, whatever a late or repeated report says", async () => {
  const given = aDelivery(await anEndpoint());
  await deliveries.begin(given, "https://a/");
  await deliveries.begin(given, "https://a/");
  // the answer to the first try comes when the second is under way
  await deliveries.settle(report(given.id, 1, "delivered"));
  expect(await deliveries.begin(given, "https://a/")).toBeUndefined();
  await deliveries.settle(report(given.id, 2, "failed", 1));
  await deliveries.settle(report(given.id, 2, "failed", 1));
  await deliveries.refuse(given, "ENDPOINT_DISABLED");
  expect(await deliveries.find(given.id)).toMatchObject({ state: "delivered", attempts: 2 });
});

test("of several who take a delivery over at once one gets it, and the job before has lost it", async () => {
  const given = aDelivery(await anEndpoint());
  await deliveries.begin(given, "https://a/");
  await deliveries.settle(report(given.id, 1, "delivered"));
  const jobs = [newId(), newId(), newId()];
  const taken = await Promise.all(
    jobs.map((to) => world.ledger.transaction((run) => deliveries.take(given.id, { from: given.jobId, to }, run))),
  );
  expect(taken.filter(Boolean)).toHaveLength(1);
  const winner = jobs[taken.indexOf(true)] ?? "";
  expect(await deliveries.begin(given, "https://a/")).toBeUndefined();
  expect(await deliveries.begin({ ...given, jobId: winner }, "https://a/")).toMatchObject({ number: 2 });
});

test("deliveries are found by endpoint, state, event and time, newest first", async () => {
  const endpointId = await anEndpoint();
  const all = [aDelivery(endpointId), aDelivery(endpointId), aDelivery(endpointId)];
  for (const one of all) await deliveries.begin(one, "https://a/");
  const [first, second, third] = all.map(({ id }) => id);
  await deliveries.settle(report(second ?? "", 1, "failed"));
  const ids = async (filter: Parameters<WebhookDeliveryStore["list"]>[0]) =>
    (await deliveries.list({ endpointId, ...filter }, 10)).map(({ id }) => id);
  expect(await ids({})).toEqual([third, second, first]);
  expect(await ids({ before: third })).toEqual([second, first]);
  expect(await ids({ state: "failed" })).toEqual([second]);
  expect(await ids({ eventId: "other" })).toEqual([]);
  expect(await ids({ since: new Date(Date.now() + 60_000) })).toEqual([]);
  expect(await ids({ since: new Date("0001-01-01T00:00:00Z") })).toHaveLength(3);
});

test("an endpoint's failures count from the first one until a success, and outages only in a row", async () => {
  const id = await anEndpoint();
  expect(await deliveries.failed(id, true)).toMatchObject({ outages: 1 });
  const second = await deliveries.failed(id, true);
  expect(second).toMatchObject({ outages: 2 });
  const refused = await deliveries.failed(id, false);
  expect(refused).toMatchObject({ outages: 0, failingSince: second?.failingSince });
  await deliveries.failed(id, true);
  expect(await deliveries.succeeded(id)).toBe(1);
  expect(await deliveries.succeeded(id)).toBe(0);
  expect(await endpoints.find(id)).toMatchObject({ failingSince: undefined });

  expect(await endpoints.disable(id, "gone")).toBe(true);
  expect(await endpoints.disable(id, "gone")).toBe(false);
  expect(await deliveries.failed(id, true)).toBeUndefined();
  expect((await endpoints.enabled()).map((one) => one.id)).not.toContain(id);
  expect(await endpoints.enable(id)).toBe(true);
  expect(await endpoints.enabled()).toContainEqual({ id, eventTypes: ["a.*"] });
});

test("of two changes at once one wins, and the other is told", async () => {
  const id = await anEndpoint();
  const { revision = 0 } = (await endpoints.find(id)) ?? {};
  const both = await Promise.all(
    ["https://a/", "https://b/"].map((url) => endpoints.update(id, revision, { ...content, url })),
  );
  expect(both.filter(Boolean)).toHaveLength(1);
});

test("secrets overlap for as long as was said, the newest first, and are forgotten with the next rotation", async () => {
  const id = await anEndpoint();
  const secrets = async () => (await endpoints.find(id))?.secrets.map((secret) => secret.id);
  const [old] = (await secrets()) ?? [];
  const [second, third] = [aSecret(), aSecret()];
  expect(await endpoints.rotate(id, second, 3_600_000)).toBe(true);
  expect(await secrets()).toEqual([second.id, old]);
  expect(await endpoints.rotate(id, third, 0)).toBe(true);
  expect(await secrets()).toEqual([third.id]);
  expect(await endpoints.rotate(newId(), aSecret(), 0)).toBe(false);
  expect(await endpoints.remove(id)).toBe(true);
  expect(await endpoints.find(id)).toBeUndefined();
});
