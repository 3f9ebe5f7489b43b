import {
  attemptView,
  deliveryDetail,
  deliveryView,
  endpointView,
  endpointWithSecret,
  pageOf,
  problem,
} from "@warren/contracts";
import { newId } from "@warren/ledger";
import { createWorld } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { failDelivery } from "./failed-delivery.ts";
import { jobsOf, prepare, startIngress } from "./fixture.ts";
import { apiKey, manage, newKeyRing } from "./management.ts";

const url = "https://hooks.example.com/in";

function code(answer: { readonly status: number; readonly body: unknown }): readonly [number, string] {
  return [answer.status, problem.parse(answer.body).code];
}

describe("endpoints over the API", () => {
  test("are made, looked at, changed, rotated, disabled, tested and deleted; what is sealed is never shown", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using ingress = await startIngress(world, { apiKeys: [apiKey], keyRing: newKeyRing() });
    const made = await manage(ingress, "POST", "/endpoints", {
      url,
      eventTypes: ["invoice.*"],
      headers: { Authorization: "Bearer sesame" },
      proxyUrl: "http://shop:sesame@proxy.internal:3128",
      rate: { limit: 10, perMs: 1_000 },
      concurrency: 2,
    });
    expect(made.status).toBe(201);
    const { endpoint, secret } = endpointWithSecret.parse(made.body);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(endpoint).toMatchObject({ headerNames: ["Authorization"], hasProxy: true, state: "enabled" });
    const at = `/endpoints/${endpoint.id}`;

    const changed = await manage(ingress, "PATCH", at, { description: "Accounting", rate: null });
    expect(endpointView.parse(changed.body)).toMatchObject({
      description: "Accounting",
      rate: null,
      concurrency: 2,
      url,
    });
    const { keys } = (await ingress.ledger.limits.get("deliveries")) ?? {};
    expect(keys).toMatchObject([{ key: endpoint.id, concurrency: 2 }]);
    const rotated = await manage(ingress, "POST", `${at}/rotate`, { kind: "v1a", overlapSeconds: 60 });
    expect(endpointWithSecret.parse(rotated.body)).toMatchObject({
      secret: null,
      publicKey: expect.stringMatching(/^whpk_/),
      endpoint: {
        secrets: [
          { kind: "v1a", expiresAt: null },
          { kind: "v1", expiresAt: expect.any(String) },
        ],
      },
    });

    const tested = await manage(ingress, "POST", `${at}/test`);
    expect(tested.status).toBe(202);
    const published = await manage(ingress, "POST", "/outbound-events", {
      eventType: "invoice.paid",
      eventId: "evt_1",
      payload: { amount: 1 },
    });
    expect(published).toMatchObject({ status: 202, body: { eventId: "evt_1" } });
    expect(await jobsOf(ingress)).toMatchObject([
      { name: "deliver-webhook", limit_key: endpoint.id, payload: { endpoint: endpoint.id, eventType: "warren.test" } },
      { name: "publish-webhook", payload: { eventType: "invoice.paid", eventId: "evt_1", payload: { amount: 1 } } },
    ]);

    const disabled = await manage(ingress, "POST", `${at}/disable`);
    expect(disabled.body).toMatchObject({ state: "disabled", disabledReason: "manual" });
    expect(code(await manage(ingress, "POST", `${at}/test`))).toEqual([409, "ENDPOINT_DISABLED"]);
    expect((await manage(ingress, "POST", `${at}/enable`)).body).toMatchObject({ state: "enabled", disabledAt: null });

    await manage(ingress, "POST", "/endpoints", { url });
    const page = pageOf(endpointView).parse((await manage(ingress, "GET", "/endpoints?limit=1")).body);
    expect(page.items).toMatchObject([{ hasProxy: false }]);
    const next = pageOf(endpointView).parse(
      (await manage(ingress, "GET", `/endpoints?cursor=${page.nextCursor}`)).body,
    );
    expect(next).toMatchObject({ items: [{ id: endpoint.id }], nextCursor: null });

    const shown = [made, changed, rotated, await manage(ingress, "GET", at)].slice(1).map(({ text }) => text);
    const { rows } = await ingress.ledger.query(
      `select e.*, s.* from ${ingress.ledger.table("webhook_endpoints")} e
       join ${ingress.ledger.table("webhook_endpoint_secrets")} s on s.endpoint_id = e.id`,
      [],
    );
    for (const text of [...shown, JSON.stringify(rows)]) {
      expect(text).not.toContain("sesame");
      expect(text).not.toContain(secret?.slice(6));
    }
    expect((await manage(ingress, "DELETE", at)).status).toBe(204);
    expect(code(await manage(ingress, "GET", at))).toEqual([404, "ENDPOINT_UNKNOWN"]);
  });

  test("are refused with a reason: unknown ids, bad fields, a broken certificate, no key ring", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using ingress = await startIngress(world, { apiKeys: [apiKey], keyRing: newKeyRing() });
    const nowhere = `/endpoints/${newId()}`;
    expect(code(await manage(ingress, "PATCH", nowhere, { description: "x" }))).toEqual([404, "ENDPOINT_UNKNOWN"]);
    for (const call of ["rotate", "test", "enable", "disable"]) {
      expect(code(await manage(ingress, "POST", `${nowhere}/${call}`, {}))).toEqual([404, "ENDPOINT_UNKNOWN"]);
    }
    expect(code(await manage(ingress, "DELETE", nowhere))).toEqual([404, "ENDPOINT_UNKNOWN"]);
    expect(code(await manage(ingress, "POST", "/endpoints", { url: "ftp://x" }))).toEqual([400, "API_REQUEST_INVALID"]);
    const clientCertificate = { certificate: "sesame", key: "sesame" };
    const broken = await manage(ingress, "POST", "/endpoints", { url, clientCertificate });
    expect(code(broken)).toEqual([422, "ENDPOINT_CERTIFICATE_INVALID"]);
    expect(broken.text).not.toContain("sesame");
    const nul = { eventType: "a", payload: { text: "\u0000" } };
    expect(code(await manage(ingress, "POST", "/outbound-events", nul))).toEqual([422, "JOB_PAYLOAD_UNSERIALISABLE"]);

    await using bare = await startIngress(world, { apiKeys: [apiKey] });
    expect(code(await manage(bare, "POST", "/endpoints", { url }))).toEqual([503, "PAYLOAD_KEY_RING_MISSING"]);
  });
});

test("deliveries and their tries are listed, shown and sent again over the API", async () => {
  await using world = await createWorld();
  await prepare(world);
  await using ingress = await startIngress(world, { apiKeys: [apiKey], keyRing: newKeyRing() });
  const made = await manage(ingress, "POST", "/endpoints", { url });
  const { id: endpointId } = endpointWithSecret.parse(made.body).endpoint;
  const since = new Date(Date.now() - 1_000).toISOString();
  const failed = { endpointId, url, eventId: (id: string) => `evt ${id}` };
  const first = await failDelivery(ingress.ledger, failed);
  const second = await failDelivery(ingress.ledger, failed);
  const list = async (query: string) =>
    pageOf(deliveryView).parse((await manage(ingress, "GET", `/deliveries?${query}`)).body);
  const page = await list(`endpointId=${endpointId}&state=failed&since=${since}&limit=1`);
  expect(page.items).toMatchObject([{ id: second, state: "failed", reason: "DELIVERY_STATUS", attempts: 1 }]);
  expect((await list(`limit=1&cursor=${page.nextCursor}`)).items).toMatchObject([{ id: first }]);
  expect((await list(`eventId=${encodeURIComponent(`evt ${first}`)}`)).items).toHaveLength(1);
  expect((await list("since=0001-01-01T00:00:00Z")).items).toHaveLength(2);
  const detail = deliveryDetail.parse((await manage(ingress, "GET", `/deliveries/${first}`)).body);
  expect(detail.body).toBe('{"a":1}');
  const attempts = pageOf(attemptView).parse((await manage(ingress, "GET", `/deliveries/${first}/attempts`)).body);
  expect(attempts.items).toMatchObject([
    {
      number: 1,
      outcome: "failed",
      address: "192.0.2.7",
      requestHeaders: [["webhook-id", "msg_1"]],
      response: { status: 500, headers: [["x-a", "b"]], body: "no", truncated: false },
    },
  ]);

  const retried = await manage(ingress, "POST", `/deliveries/${first}/retry`);
  expect([retried.status, deliveryView.parse(retried.body).state]).toEqual([202, "pending"]);
  expect(code(await manage(ingress, "POST", `/deliveries/${first}/retry`))).toEqual([409, "DELIVERY_NOT_FINISHED"]);
  const all = await manage(ingress, "POST", `/endpoints/${endpointId}/retry`, { since });
  expect([all.status, all.body]).toEqual([202, { retried: 1 }]);
  expect(await jobsOf(ingress)).toMatchObject([
    { name: "deliver-webhook", payload: { delivery: first } },
    { name: "deliver-webhook", payload: { delivery: second } },
  ]);
  expect(code(await manage(ingress, "GET", `/deliveries/${newId()}`))).toEqual([404, "DELIVERY_UNKNOWN"]);
  expect(code(await manage(ingress, "GET", "/deliveries?cursor=nonsense"))).toEqual([400, "API_CURSOR_INVALID"]);
});
