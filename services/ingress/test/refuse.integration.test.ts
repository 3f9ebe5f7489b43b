import { once } from "node:events";
import { connect } from "node:net";
import { problem } from "@warren/contracts";
import { createWorld, type World, waitFor } from "@warren/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { githubHeaders, jobsOf, post, prepare, type RunningIngress, requestsOf, startIngress } from "./fixture.ts";
import { hmacHex } from "./signed.ts";

const json = { "content-type": "application/json" };
const big = "x".repeat(1_001);

let world: World;
let running: RunningIngress;
beforeAll(async () => {
  world = await createWorld();
  await prepare(world);
  running = await startIngress(world);
});
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** What is kept of the request that was answered under this correlation id. */
async function kept(correlationId: string): Promise<Readonly<Record<string, unknown>>> {
  return waitFor(
    async () => {
      await running.ingress.drain();
      return (await requestsOf(running)).find((request) => request["correlation_id"] === correlationId);
    },
    { what: "the rejected request" },
  );
}

interface Refusal {
  readonly when: string;
  readonly source: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly status: number;
  readonly code: string;
  readonly cause: string;
  /** The body that is kept. */
  readonly keeps: string | null;
  readonly announced?: number;
}

describe("a request is refused, with its cause kept, when", () => {
  test.for<Refusal>([
    {
      when: "it is forged",
      source: "github",
      headers: githubHeaders("{}", "f", "wrong"),
      body: "{}",
      status: 401,
      code: "WEBHOOK_NOT_AUTHENTIC",
      cause: "signature_mismatch",
      keeps: "{}",
    },
    {
      when: "it is not signed",
      source: "github",
      headers: json,
      body: "{}",
      status: 401,
      code: "WEBHOOK_NOT_AUTHENTIC",
      cause: "signature_missing",
      keeps: "{}",
    },
    {
      when: "nobody configured its source",
      source: "nobody",
      headers: json,
      body: "{}",
      status: 404,
      code: "WEBHOOK_SOURCE_UNKNOWN",
      cause: "source_unknown",
      keeps: null,
      announced: 0,
    },
    {
      when: "its body is too large",
      source: "generic",
      headers: { "x-sig": hmacHex("s3cret", big) },
      body: big,
      status: 413,
      code: "WEBHOOK_BODY_TOO_LARGE",
      cause: "body_too_large",
      keeps: null,
    },
    {
      when: "its body is compressed",
      source: "github",
      headers: { ...githubHeaders("{}", "f"), "content-encoding": "gzip" },
      body: "{}",
      status: 415,
      code: "WEBHOOK_ENCODING_UNSUPPORTED",
      cause: "encoding_unsupported",
      keeps: "{}",
    },
    {
      when: "its content type is another",
      source: "github",
      headers: { ...githubHeaders("{}", "f"), "content-type": "text/plain" },
      body: "{}",
      status: 415,
      code: "WEBHOOK_CONTENT_TYPE_UNSUPPORTED",
      cause: "content_type_unsupported",
      keeps: "{}",
    },
    {
      when: "its content type is none",
      source: "github",
      headers: { ...githubHeaders("{}", "f"), "content-type": ";;;" },
      body: "{}",
      status: 415,
      code: "WEBHOOK_CONTENT_TYPE_UNSUPPORTED",
      cause: "content_type_unsupported",
      keeps: null,
    },
    {
      when: "it is authentic but no event",
      source: "yookassa",
      headers: json,
      body: "[]",
      status: 400,
      code: "WEBHOOK_BODY_MALFORMED",
      cause: "body_malformed",
      keeps: "[]",
    },
  ])("$when", async ({ source, headers, body, status, code, cause, keeps, announced = body.length }) => {
    const answer = await post(running, source, headers, body);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
    const document = problem.parse(answer.body);
    expect(document).toMatchObject({ status, code, type: `urn:warren:error:${code}` });
    const request = await kept(document.correlationId ?? "");
    expect(request).toMatchObject({ source, status: "rejected", cause, dedupe_key: null, job_ids: [] });
    // what may be judged again after a correction is kept whole
    const bytes = request["body"];
    expect([Buffer.isBuffer(bytes) ? bytes.toString() : bytes, request["body_bytes"]]).toEqual([
      keeps,
      String(keeps?.length ?? announced),
    ]);
  });

  test("a chunked body passes the limit, though it announced no length", async () => {
    const socket = connect(running.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write("POST /webhooks/generic HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    const answer = once(socket, "data");
    for (let sent = 0; sent < 12; sent++) socket.write(`64\r\n${"x".repeat(100)}\r\n`);
    expect(String((await answer)[0])).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
  });

  test("its sender goes away in the middle of the body", async () => {
    const socket = connect(running.port, "127.0.0.1");
    await once(socket, "connect");
    const half =
      "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Correlation-Id: gone\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    await new Promise<void>((resolve) => socket.write(half, () => resolve()));
    socket.destroy();
    expect(await kept("gone")).toMatchObject({ cause: "body_incomplete", body: null });
  });

  test("it is not even HTTP", async () => {
    const socket = connect(running.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write("HELLO\r\n\r\n");
    const [text] = (await once(socket, "data")) as [Buffer];
    expect(String(text)).toMatch(/^HTTP\/1\.1 400 [\s\S]*HTTP_BAD_REQUEST/);
    socket.destroy();
  });

  test("its provider never uses its method", async () => {
    const headers = { ...githubHeaders("{}", "m"), "x-correlation-id": "method" };
    const response = await fetch(`${running.url}/webhooks/github`, { method: "PUT", headers, body: "{}" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
    expect(problem.parse(await response.json()).code).toBe("WEBHOOK_METHOD_NOT_ALLOWED");
    expect(await kept("method")).toMatchObject({ cause: "method_not_allowed", method: "PUT", body: Buffer.from("{}") });
  });

  test("its path is not one of ours", async () => {
    for (const path of ["/", "/webhooks", "/webhooks/github/more", "/webhooks/%ZZ"]) {
      const response = await fetch(`${running.url}${path}`, { method: "POST", body: "{}" });
      expect([400, 404]).toContain(response.status);
      expect(problem.parse(await response.json()).code).toMatch(/^HTTP_/);
    }
    const got = await fetch(`${running.url}/webhooks/github`, { method: "DELETE" });
    expect([got.status, problem.parse(await got.json()).code]).toEqual([404, "HTTP_NOT_FOUND"]);
  });
});

test("no refused request makes a job", async () => {
  expect(await jobsOf(running)).toEqual([]);
});

test("when no secret is current, the sender is asked to come again", async () => {
  const answer = await post(running, "expired", githubHeaders("{}", "d"), "{}");
  expect(answer.status).toBe(503);
  expect(answer.headers.get("retry-after")).toBe("5");
  expect(answer.body["code"]).toBe("WEBHOOK_SECRETS_NOT_CURRENT");
});

test("a flood of forgeries is counted in full, kept up to the limit, and does not hold up what is authentic", async () => {
  await using own = await createWorld();
  await prepare(own);
  await using flooded = await startIngress(own, {
    rejectionLimits: { perMinute: 20, bytesPerMinute: 1_000_000, waiting: 500, waitingBytes: 1_000_000 },
  });
  const forgeries = Array.from({ length: 300 }, (_, at) =>
    post(flooded, "github", githubHeaders("{}", `f-${at}`, "wrong"), "{}"),
  );
  const authentic = await post(flooded, "github", githubHeaders("{}", "d-1"), "{}");
  expect(authentic.status).toBe(202);
  expect((await Promise.all(forgeries)).every(({ status }) => status === 401)).toBe(true);
  await flooded.ingress.drain();
  const rejected = (await requestsOf(flooded)).filter((request) => request["status"] === "rejected");
  // the minute may turn while they come
  expect(rejected.length).toBeGreaterThanOrEqual(20);
  expect(rejected.length).toBeLessThanOrEqual(40);
  expect(await flooded.metrics.value("warren_webhook_requests_total", { source: "github", outcome: "rejected" })).toBe(
    300,
  );
  expect(await flooded.metrics.value("warren_webhook_rejections_not_kept_total", { source: "github" })).toBe(
    300 - rejected.length,
  );
});

test("behind a trusted proxy the sender is whom the proxy names, and behind no other", async () => {
  await using own = await createWorld();
  await prepare(own);
  const body = JSON.stringify({
    type: "notification",
    event: "payment.succeeded",
    object: { id: "1", status: "succeeded" },
  });
  const sources = { yookassa: { provider: "yookassa" } };
  await using proxied = await startIngress(own, { sources, trustedProxies: ["127.0.0.0/8"] });
  await using direct = await startIngress(own, { sources });
  const from = (address: string) => ({ ...json, "x-forwarded-for": address });
  expect((await post(direct, "yookassa", from("185.71.76.5"), body)).status).toBe(401);
  expect((await post(proxied, "yookassa", from("185.71.76.5, 203.0.113.9"), body)).status).toBe(401);
  expect((await post(proxied, "yookassa", json, body)).status).toBe(401);
  expect((await post(proxied, "yookassa", from("203.0.113.9, 185.71.76.5"), body)).status).toBe(200);
  const [accepted] = (await requestsOf(proxied)).filter((request) => request["status"] === "accepted");
  expect(accepted).toMatchObject({ peer_address: "127.0.0.1", client_address: "185.71.76.5" });
});
