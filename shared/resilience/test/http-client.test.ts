import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { runWithContext } from "@warren/observability";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  createCache,
  createHttpClient,
  type HttpClientOptions,
  memoryStore,
  type OperationOptions,
  type ProviderRejectedError,
  path,
} from "../src/index.ts";
import { type Answer, faultyServer, json, operationOptions, providerWorld, reset, silence } from "./world.ts";

/** A client against a server that gives these answers. */
async function world(
  answers: Answer[],
  options: { client?: Partial<HttpClientOptions>; operation?: Partial<OperationOptions> } = {},
) {
  const server = await faultyServer(...answers);
  const base = providerWorld();
  const retry = { attempts: 3, baseDelayMs: 1, maxDelayMs: 2_000, safe: true };
  const operation = base.provider.operation(operationOptions({ retry, ...options.operation }));
  const client = createHttpClient({
    provider: base.provider,
    baseUrl: `${server.baseUrl}/v3`,
    headers: { Authorization: "Bearer top-secret-token" },
    ...options.client,
  });
  return {
    ...base,
    server,
    operation,
    client,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Sends a little, for ever. */
const trickle: Answer = (response) => {
  response.writeHead(200);
  const timer = setInterval(() => response.write("x"), 5);
  response.on("close", () => clearInterval(timer));
};

describe("a request", () => {
  test("carries the standard headers, the context's ids, and the client's own", async () => {
    await using w = await world([json(200, { ok: true })]);
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const response = await runWithContext({ correlationId: "c-1", traceparent }, () =>
      w.client.request({
        operation: w.operation,
        method: "GET",
        path: path`/payments/${"a/../b"}`,
        query: { limit: 5, cursor: undefined },
      }),
    );
    expect(response).toMatchObject({ status: 200, body: { ok: true } });
    expect(w.server.received[0]?.url).toBe("/v3/payments/a%2F..%2Fb?limit=5");
    expect(w.server.received[0]?.headers).toMatchObject({
      accept: "application/json",
      "user-agent": "warren",
      "x-correlation-id": "c-1",
      traceparent,
      authorization: "Bearer top-secret-token",
    });
  });

  test("that fails with 500 and then works is made again with the same bytes and the same idempotency key", async () => {
    await using w = await world([json(500, {}), json(200, { id: "p1" })], {
      client: { idempotencyKeyHeader: "Idempotence-Key" },
    });
    const response = await w.client.request({
      operation: w.operation,
      method: "POST",
      path: "/payments",
      body: { kind: "json", value: { amount: "10.00" } },
      idempotencyKey: "job-1",
    });
    expect(response.body).toEqual({ id: "p1" });
    expect(
      w.server.received.map((one) => [one.body, one.headers["idempotence-key"], one.headers["content-type"]]),
    ).toEqual([
      ['{"amount":"10.00"}', "job-1", "application/json"],
      ['{"amount":"10.00"}', "job-1", "application/json"],
    ]);
  });

  test.for([
    { method: "POST", keyHeader: undefined, received: 1 },
    { method: "PATCH", keyHeader: undefined, received: 1 },
    { method: "POST", keyHeader: "Idempotency-Key", received: 3 },
    { method: "GET", keyHeader: undefined, received: 3 },
    { method: "PUT", keyHeader: undefined, received: 3 },
    { method: "DELETE", keyHeader: undefined, received: 3 },
  ] as const)(
    "with $method and key header $keyHeader is sent $received times to a server that fails",
    async ({ method, keyHeader, received }) => {
      const client = keyHeader === undefined ? {} : { idempotencyKeyHeader: keyHeader };
      await using w = await world([json(503, {})], {
        client,
        operation: { breaker: { halfOpenAfterMs: 1_000, threshold: { kind: "consecutive", failures: 9 } } },
      });
      await expect(w.client.request({ operation: w.operation, method, path: "/x" })).rejects.toMatchObject({
        code: "PROVIDER_UNAVAILABLE",
      });
      expect(w.server.received).toHaveLength(received);
    },
  );

  test("whose connection is reset is made again if that is safe, and reported as of unknown effect if not", async () => {
    await using w = await world([reset, json(200, { ok: true }), reset]);
    expect((await w.client.request({ operation: w.operation, method: "GET", path: "/x" })).body).toEqual({ ok: true });
    await expect(w.client.request({ operation: w.operation, method: "POST", path: "/x" })).rejects.toMatchObject({
      code: "PROVIDER_UNAVAILABLE",
      effect: "unknown",
    });
    expect(w.server.received).toHaveLength(3);
  });

  test("that never reached a server is made again even with POST, and its effect is none", async () => {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, "close");
    await using w = await world([silence], { client: { baseUrl: `http://127.0.0.1:${port}` } });
    const call = w.client.request({ operation: w.operation, method: "POST", path: "/x" });
    await expect(call).rejects.toMatchObject({ code: "PROVIDER_UNAVAILABLE", effect: "none" });
    expect(await w.metrics.value("warren_provider_retries_total")).toBe(2);
  });

  test("without an answer ends at the operation's timeout", async () => {
    await using w = await world([silence], {
      operation: { timeoutMs: 50, retry: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1, safe: true } },
    });
    await expect(w.client.request({ operation: w.operation, method: "GET", path: "/x" })).rejects.toMatchObject({
      code: "PROVIDER_TIMEOUT",
    });
  });

  test("whose answer trickles in for ever ends at the timeout too", async () => {
    await using w = await world([trickle], {
      operation: { timeoutMs: 60, retry: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1, safe: true } },
    });
    await expect(w.client.request({ operation: w.operation, method: "GET", path: "/x" })).rejects.toMatchObject({
      code: "PROVIDER_TIMEOUT",
    });
  });

  test("waits as long as Retry-After asks before it is made again", async () => {
    await using w = await world([json(429, {}, { "retry-after": "0.2" }), json(200, {})]);
    const startedAt = performance.now();
    await w.client.request({ operation: w.operation, method: "POST", path: "/x" });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(195);
  });

  test("comes back at once when Retry-After is longer than a call may wait", async () => {
    await using w = await world([json(429, {}, { "retry-after": "120" })]);
    await expect(w.client.request({ operation: w.operation, method: "GET", path: "/x" })).rejects.toMatchObject({
      code: "PROVIDER_RATE_LIMITED",
      retryAfterMs: 120_000,
    });
    expect(w.server.received).toHaveLength(1);
  });

  test("that is refused keeps the provider's answer for its caller, and out of the log", async () => {
    await using w = await world([json(422, { error: { code: "card_declined", holder: "Jane Roe" } })]);
    const error = await w.client
      .request({ operation: w.operation, method: "GET", path: "/x" })
      .catch((caught: unknown) => caught as ProviderRejectedError);
    expect(error).toMatchObject({
      code: "PROVIDER_REJECTED",
      response: { status: 422, body: { error: { code: "card_declined" } } },
    });
    w.log.error({ err: error }, "payment refused");
    expect(w.lines.join("")).not.toContain("Jane Roe");
    expect(w.lines.join("")).toContain("PROVIDER_REJECTED");
  });

  test("does not follow a redirect: credentials go to one host only", async () => {
    await using w = await world([json(302, {}, { location: "http://127.0.0.1:1/steal" })]);
    await expect(w.client.request({ operation: w.operation, method: "GET", path: "/x" })).rejects.toMatchObject({
      code: "PROVIDER_REJECTED",
    });
    expect(w.server.received).toHaveLength(1);
  });

  test("whose answer is larger than allowed is refused, however long it claims to be", async () => {
    await using w = await world([json(200, { text: "x".repeat(2_000) })], { client: { maxResponseBytes: 1_000 } });
    await expect(w.client.request({ operation: w.operation, method: "GET", path: "/x" })).rejects.toMatchObject({
      code: "PROVIDER_RESPONSE_INVALID",
      retryable: false,
    });
  });

  test("with a schema gives what the schema gives, and names the field of an answer that differs, never its value", async () => {
    await using w = await world([
      json(200, { amount: 5, extra: 1 }),
      json(200, { amount: "five-hundred" }),
      (response) => void response.end("<html>"),
    ]);
    const get = () =>
      w.client.request({ operation: w.operation, method: "GET", path: "/x", schema: z.object({ amount: z.number() }) });
    expect((await get()).body).toEqual({ amount: 5 });
    await expect(get()).rejects.toMatchObject({
      code: "PROVIDER_RESPONSE_INVALID",
      message: expect.stringContaining("amount"),
    });
    await expect(get()).rejects.toThrow(/not JSON/);
    expect(w.server.received).toHaveLength(3);
  });

  test("sends a form as a form", async () => {
    await using w = await world([json(200, {})]);
    await w.client.request({
      operation: w.operation,
      method: "PUT",
      path: "/x",
      body: { kind: "form", fields: { a: 1, "b[c]": "d e", e: undefined } },
    });
    expect(w.server.received[0]).toMatchObject({
      body: "a=1&b%5Bc%5D=d+e",
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
  });

  test("leaves no secret in any log line", async () => {
    await using w = await world([json(500, {}), reset, json(200, {})]);
    await w.client.request({ operation: w.operation, method: "GET", path: "/x" });
    expect(w.lines.join("")).toContain("will be made again");
    expect(w.lines.join("")).not.toContain("top-secret-token");
  });

  test.for(["x", "//evil.example/x", "/../admin", "/%2e%2e/admin", "/x?y=1", "/x#y", "/a\\b", "https://evil.example/"])(
    "to the path %s is refused before it leaves",
    async (bad) => {
      await using w = await world([json(200, {})]);
      await expect(w.client.request({ operation: w.operation, method: "GET", path: bad })).rejects.toThrow(TypeError);
      expect(w.server.received).toHaveLength(0);
    },
  );
});

describe("a cached request", () => {
  test("asks the provider once for many callers and until its time is over", async () => {
    let nowMs = 0;
    const { log } = providerWorld();
    const cache = createCache({ store: memoryStore({ now: () => nowMs }), log, now: () => nowMs });
    await using w = await world([json(200, { rate: 1 }), json(200, { rate: 2 })], { client: { cache } });
    const get = async () =>
      (
        await w.client.request({
          operation: w.operation,
          method: "GET",
          path: "/rate",
          cache: { ttlMs: 1_000 },
          schema: z.object({ rate: z.number() }),
        })
      ).body.rate;
    expect(await Promise.all([get(), get(), get()])).toEqual([1, 1, 1]);
    nowMs = 999;
    expect(await get()).toBe(1);
    nowMs = 1_000;
    expect(await get()).toBe(2);
    expect(w.server.received).toHaveLength(2);
  });

  test("is refused for anything but GET, and for headers that its key does not name", async () => {
    const { log } = providerWorld();
    const cache = createCache({ store: memoryStore(), log });
    await using w = await world([json(200, {})], { client: { cache } });
    const rest = { operation: w.operation, path: "/x", cache: { ttlMs: 1 } } as const;
    await expect(w.client.request({ ...rest, method: "POST" })).rejects.toThrow(/only GET/);
    await expect(w.client.request({ ...rest, method: "GET", headers: { "x-user": "1" } })).rejects.toThrow(/cache key/);
  });
});
