import { createPublicKey, verify } from "node:crypto";
import { endpointDisabled, subscribe } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { openBench } from "./platform.ts";
import { type Received, startReceiver, status } from "./receiver.ts";

const ids = (received: readonly Received[]) => new Set(received.map(({ headers }) => headers["webhook-id"]));

describe("an event", () => {
  test("goes to every endpoint that wants its type, once, signed as the official library checks it", async () => {
    await using bench = await openBench();
    await using receiver = await startReceiver();
    receiver.answer(status(200, { "x-served-by": "receiver-1" }, "thanks"));
    const at = (path: string) => receiver.url.replace("/hooks", path);
    const all = await bench.endpoint({ url: at("/all"), headers: { Authorization: "Bearer sesame" } });
    const invoices = await bench.endpoint({ url: at("/invoices"), eventTypes: ["invoice.*"], format: "plain" });
    await bench.endpoint({ url: at("/orders"), eventTypes: ["order.#"] });
    const off = await bench.endpoint({ url: at("/off") });
    await bench.endpoints.disable(off.endpoint.id);
    await bench.serve({ WARREN_DELIVERY_HEADER: "X-Sent-By: warren-test" });

    await bench.publish("invoice.paid", { eventId: "evt_1" });
    await waitFor(() => receiver.received.length >= 2, { what: "two deliveries" });
    // the same event again is the same event
    const again = await bench.publish("invoice.paid", { eventId: "evt_1" });
    await waitFor(async () => (await bench.ledger.findJob(again))?.state === "succeeded", { what: "the second job" });

    expect(receiver.received.map(({ path }) => path).sort()).toEqual(["/all", "/invoices"]);
    const [toAll] = receiver.received.filter(({ path }) => path === "/all");
    const [toInvoices] = receiver.received.filter(({ path }) => path === "/invoices");
    const data = { type: "invoice.paid", timestamp: "2026-11-22T10:00:00.000Z", data: { amount: 17 } };
    expect(new Webhook(all.secret.secret ?? "").verify(toAll?.body ?? "", { ...toAll?.headers })).toEqual(data);
    expect(
      new Webhook(invoices.secret.secret ?? "").verify(toInvoices?.body ?? "", { ...toInvoices?.headers }),
    ).toEqual({ amount: 17 });
    expect(() =>
      new Webhook(all.secret.secret ?? "").verify(toInvoices?.body ?? "", { ...toInvoices?.headers }),
    ).toThrow("No matching signature found");
    expect(toAll?.headers).toMatchObject({
      "webhook-id": "evt_1",
      "x-sent-by": "warren-test",
      authorization: "Bearer sesame",
      "content-type": "application/json",
    });

    const [delivery] = await bench.deliveries.list({ endpointId: all.endpoint.id }, 10);
    await bench.until(delivery?.id ?? "", "delivered");
    const [attempt] = await bench.deliveries.attempts(delivery?.id ?? "", 10);
    expect(attempt).toMatchObject({
      number: 1,
      outcome: "delivered",
      url: at("/all"),
      address: "127.0.0.1",
      response: { status: 200, body: Buffer.from("thanks"), truncated: false },
    });
    expect(attempt?.response?.headers.join("=")).toContain("x-served-by=receiver-1");
    expect(attempt?.durationMs).toBeGreaterThanOrEqual(0);
    expect(attempt?.requestHeaders).toContain(toAll?.headers["webhook-signature"]);
    expect(JSON.stringify(attempt)).not.toContain("sesame");
    expect((await bench.endpoints.get(all.endpoint.id)).lastSuccessAt).toBeInstanceOf(Date);
  });

  test("is signed with old and new secret while they overlap, and with an Ed25519 key where one is wanted", async () => {
    await using bench = await openBench();
    await using receiver = await startReceiver();
    await bench.serve();
    const { endpoint, secret: first } = await bench.endpoint({ url: receiver.url });
    const { secret: second } = await bench.endpoints.rotate(endpoint.id, { kind: "v1" }, 60_000);
    const { secret: third } = await bench.endpoints.rotate(endpoint.id, { kind: "v1a" }, 60_000);
    await bench.until(await bench.deliver(endpoint.id), "delivered");
    const [request] = receiver.received;
    const { body = "", headers = {} } = request ?? {};
    for (const secret of [first.secret, second.secret]) {
      expect(new Webhook(secret ?? "").verify(body, { ...headers })).toMatchObject({ type: "invoice.paid" });
    }
    expect(headers["webhook-signature"]?.split(" ")).toHaveLength(3);
    const signature = /v1a,(\S+)/.exec(headers["webhook-signature"] ?? "")?.[1] ?? "";
    const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
    const x = Buffer.from(third.publicKey?.replace("whpk_", "") ?? "", "base64").toString("base64url");
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    expect(verify(null, signed, key, Buffer.from(signature, "base64"))).toBe(true);

    // the end of an overlap
    const { secret: last } = await bench.endpoints.rotate(endpoint.id, { kind: "v1" }, 0);
    await bench.until(await bench.deliver(endpoint.id), "delivered");
    const { body: laterBody = "", headers: later = {} } = receiver.received[1] ?? {};
    expect(later["webhook-signature"]?.split(" ")).toHaveLength(1);
    expect(new Webhook(last.secret ?? "").verify(laterBody, { ...later })).toBeDefined();
    expect(() => new Webhook(first.secret ?? "").verify(laterBody, { ...later })).toThrow(
      "No matching signature found",
    );
    expect((await bench.endpoints.get(endpoint.id)).secrets).toHaveLength(1);
    const { rows } = await bench.ledger.query(
      `select sealed from ${bench.ledger.table("webhook_endpoint_secrets")}`,
      [],
    );
    expect(JSON.stringify(rows)).not.toContain("whsec_");
  });
});

describe("an endpoint that fails", () => {
  test("is tried again under the same webhook-id with the same body and a fresh signature, and its breaker holds the rest", async () => {
    await using bench = await openBench();
    await using receiver = await startReceiver();
    receiver.answer(status(500, {}, "broken"));
    const { endpoint, secret } = await bench.endpoint({ url: receiver.url });
    await bench.serve({ WARREN_DELIVERY_BREAKER_FAILURES: "3" });
    const first = await bench.deliver(endpoint.id, { eventId: "evt_first" });
    const breaker = async () => (await bench.ledger.breakers()).find(({ name }) => name === `endpoint:${endpoint.id}`);
    await waitFor(async () => (await breaker())?.state.kind === "open", { what: "the breaker to open" });
    const openedAt = performance.now();
    const others = await Promise.all(Array.from({ length: 20 }, () => bench.deliver(endpoint.id)));
    await waitFor(async () => (await breaker())?.holding === true, { what: "held deliveries" });
    receiver.answer(status(200));
    const downMs = performance.now() - openedAt;
    const delivered = await Promise.all([first, ...others].map((id) => bench.until(id, "delivered")));

    const tries = receiver.received.filter(({ headers }) => headers["webhook-id"] === "evt_first");
    expect(tries.length).toBeGreaterThanOrEqual(3);
    expect(new Set(tries.map(({ body }) => body)).size).toBe(1);
    for (const { body, headers } of tries)
      expect(new Webhook(secret.secret ?? "").verify(body, { ...headers })).toBeDefined();
    // a held delivery is not tried: what came to it while it was down are the first's tries and a few probes
    const burnt = delivered.slice(1).reduce((sum, { attempts }) => sum + attempts - 1, 0);
    expect(burnt).toBeLessThanOrEqual(4 + downMs / 200);
    const attempts = await bench.deliveries.attempts(first, 50);
    expect(attempts.map(({ number }) => number)).toEqual(tries.map((_one, index) => tries.length - index));
    expect(attempts.at(-1)).toMatchObject({
      outcome: "failed",
      reason: "DELIVERY_STATUS",
      response: { status: 500, body: Buffer.from("broken") },
    });
    expect(await bench.endpoints.get(endpoint.id)).toMatchObject({ failingSince: undefined });
  });

  test("with Retry-After is left alone for as long as it asks, and so are its other deliveries", async () => {
    await using bench = await openBench();
    await using receiver = await startReceiver();
    const { endpoint } = await bench.endpoint({ url: receiver.url });
    await bench.serve();
    receiver.answer((request, response) => {
      receiver.answer(status(200));
      status(429, { "retry-after": "4" })(request, response);
    });
    const first = await bench.deliver(endpoint.id);
    const waits = await bench.until(first, "pending");
    expect(waits.nextAt?.getTime()).toBeGreaterThan(waits.updatedAt.getTime() + 3_900);
    const second = await bench.deliver(endpoint.id);
    await bench.until(first, "delivered");
    await bench.until(second, "delivered");
    const [refused, ...later] = receiver.received;
    expect(Math.min(...later.map(({ atMs }) => atMs)) - (refused?.atMs ?? 0)).toBeGreaterThanOrEqual(3_900);
    expect(later).toHaveLength(2);
  });

  test("by a redirect is not followed; after its last try the delivery has failed, and can be sent again by hand", async () => {
    await using bench = await openBench();
    await using receiver = await startReceiver();
    await using elsewhere = await startReceiver();
    receiver.answer(status(307, { location: elsewhere.url }));
    const { endpoint } = await bench.endpoint({ url: receiver.url });
    await bench.serve({ WARREN_DELIVERY_RETRY: "20ms,20ms" });
    const id = await bench.deliver(endpoint.id, { eventId: "evt_r" });
    const failed = await bench.until(id, "failed");
    expect(failed).toMatchObject({ attempts: 3, reason: "DELIVERY_REDIRECTED" });
    expect(elsewhere.received).toEqual([]);
    await waitFor(async () => (await bench.ledger.findJob(id))?.state === "dead", { what: "the job to be dead" });

    receiver.answer(status(200));
    await bench.deliveries.retry(id);
    expect(await bench.until(id, "delivered")).toMatchObject({ attempts: 4 });
    // what was delivered can be sent again, too, and really is
    await bench.deliveries.retry(id);
    await waitFor(() => receiver.received.length === 5, { what: "another delivery" });
    await bench.until(id, "delivered");
    expect([...ids(receiver.received)]).toEqual(["evt_r"]);
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
    await expect(bench.deliveries.retry(endpoint.id)).rejects.toMatchObject({ code: "DELIVERY_UNKNOWN" });
  });

  test("with 410 is disabled at once with a notice; what came meanwhile is sent after it was enabled", async () => {
    const notices: string[] = [];
    const watch = subscribe(endpointDisabled, { service: "test", name: "notices", ladderMs: [1_000] }, ({ data }) => {
      notices.push(data.endpointId);
    });
    await using bench = await openBench({ subscriptions: [watch] });
    await using receiver = await startReceiver();
    receiver.answer(status(410));
    const { endpoint } = await bench.endpoint({ url: receiver.url, notify: "ops@example.com" });
    await bench.serve();
    const since = new Date(Date.now() - 1_000);
    const first = await bench.deliver(endpoint.id);
    await bench.until(first, "failed");
    expect((await bench.endpoints.get(endpoint.id)).state).toMatchObject({ kind: "disabled", reason: "gone" });
    const second = await bench.deliver(endpoint.id);
    expect(await bench.until(second, "failed")).toMatchObject({ reason: "ENDPOINT_DISABLED", attempts: 0 });
    expect(receiver.received).toHaveLength(1);

    await waitFor(() => notices.length > 0, { what: "the notice" });
    expect(notices).toEqual([endpoint.id]);
    const mails = await bench.ledger.query(
      `select payload from ${bench.ledger.table("jobs")} where name = 'notifications.send-template'`,
      [],
    );
    expect(mails.rows).toMatchObject([
      { payload: { user: { email: "ops@example.com" }, template: "endpoint-disabled", data: { cause: "gone" } } },
    ]);

    receiver.answer(status(200));
    await bench.endpoints.enable(endpoint.id);
    expect(await bench.deliveries.retryFailed(endpoint.id, since, 100)).toBe(2);
    await Promise.all([first, second].map((id) => bench.until(id, "delivered")));
    expect(receiver.received).toHaveLength(3);
  });

  test("for days without a success between is disabled, with what its breaker held", async () => {
    await using bench = await openBench();
    await using receiver = await startReceiver();
    receiver.answer(status(500));
    const { endpoint } = await bench.endpoint({ url: receiver.url });
    await bench.serve({
      WARREN_DELIVERY_DISABLE_AFTER_MS: "100",
      WARREN_DELIVERY_BREAKER_FAILURES: "2",
    });
    const all = await Promise.all(Array.from({ length: 8 }, () => bench.deliver(endpoint.id)));
    await Promise.all(all.map((id) => bench.until(id, "failed")));
    expect((await bench.endpoints.get(endpoint.id)).state).toMatchObject({ kind: "disabled", reason: "failing" });
  });
});
