import { deliveryView, endpointWithSecret, pageOf } from "@warren/contracts";
import { createWorld, freePort, spawnService, waitFor } from "@warren/testing";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { startReceiver, status } from "./receiver.ts";

const apiKey = "0123456789abcdef0123456789abcdef";

test("ingress, dispatcher and deliveries as processes bring an event from the API to an endpoint", async () => {
  await using world = await createWorld();
  await using receiver = await startReceiver();
  receiver.answer((request, response) => {
    receiver.answer(status(200));
    status(400, {}, "not yet")(request, response);
  });
  const apiPort = await freePort();
  const env = {
    DATABASE_URL: world.databaseUrl,
    AMQP_URL: world.amqpUrl,
    WARREN_API_KEYS: apiKey,
    WARREN_API_PORT: String(apiPort),
    WARREN_PAYLOAD_KEYS: `test:${Buffer.alloc(32, 7).toString("base64")}`,
    WARREN_DELIVERY_ALLOW: "127.0.0.0/8",
    WARREN_DELIVERY_RETRY: "100ms",
  };
  await using ingress = await spawnService({ entry: "services/ingress/src/main.ts", env });
  await using dispatcher = await spawnService({ entry: "services/dispatcher/src/main.ts", env });
  await using service = await spawnService({ entry: "services/deliveries/src/main.ts", env });
  expect([ingress, dispatcher, service].every((one) => one.running())).toBe(true);
  const call = async (method: string, path: string, body?: object): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${apiPort}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${text}`);
    return JSON.parse(text) as unknown;
  };

  const { secret } = endpointWithSecret.parse(await call("POST", "/endpoints", { url: receiver.url }));
  await call("POST", "/outbound-events", { eventType: "order.shipped", eventId: "evt_1", payload: { order: 17 } });
  const delivered = await waitFor(
    async () => {
      const { items } = pageOf(deliveryView).parse(await call("GET", "/deliveries?state=delivered"));
      return items[0];
    },
    { what: "the delivery", timeoutMs: 20_000 },
  );
  expect(delivered).toMatchObject({ eventType: "order.shipped", webhookId: "evt_1", attempts: 2 });
  expect(receiver.received).toHaveLength(2);
  for (const { body, headers } of receiver.received) {
    expect(new Webhook(secret ?? "").verify(body, { ...headers })).toMatchObject({ data: { order: 17 } });
  }
  const metrics = await (await fetch(`${service.url}/metrics`)).text();
  expect(metrics).toMatch(/warren_webhook_deliveries_total\{.*outcome="delivered".*\} 1/);
  expect(await service.terminate()).toMatchObject({ code: 0 });
  expect(service.logs().join("\n")).not.toContain(secret?.slice(6));
});

test("wrong settings are refused, each by its name", async () => {
  const env = { WARREN_DELIVERY_ALLOW: "intranet", WARREN_DELIVERY_RETRY: "often" };
  await expect(spawnService({ entry: "services/deliveries/src/main.ts", env })).rejects.toThrow(
    /WARREN_DELIVERY_ALLOW[\s\S]*WARREN_DELIVERY_RETRY|WARREN_DELIVERY_RETRY[\s\S]*WARREN_DELIVERY_ALLOW/,
  );
});
