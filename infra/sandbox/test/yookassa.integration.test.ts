import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { startYookassa, type YookassaOptions, type YookassaStandIn } from "../src/index.ts";

const cleanups: (() => PromiseLike<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function standInFor(options: Partial<YookassaOptions> = {}): Promise<YookassaStandIn> {
  const standIn = await startYookassa({ port: 0, ...options });
  cleanups.push(() => standIn[Symbol.asyncDispose]());
  return standIn;
}

interface Call {
  readonly method?: "GET" | "POST";
  readonly body?: unknown;
  readonly key?: string;
  readonly secret?: string;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

async function call(standIn: YookassaStandIn, path: string, given: Call = {}): Promise<Answer> {
  const { method = "GET", body, key, secret = standIn.secretKey } = given;
  const response = await fetch(standIn.apiUrl + path, {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(`${standIn.shopId}:${secret}`).toString("base64")}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(key === undefined ? {} : { "idempotence-key": key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer["body"] };
}

const hundred = { value: "100.00", currency: "RUB" };

describe("the YooKassa stand-in", () => {
  test("makes a payment, shows it, and moves it on when it is paid", async () => {
    const standIn = await standInFor();
    const made = await call(standIn, "/payments", {
      method: "POST",
      key: "k1",
      body: { amount: hundred, capture: true },
    });
    expect(made).toMatchObject({ status: 200, body: { status: "pending", paid: false, amount: hundred } });
    const path = `/payments/${String(made.body["id"])}`;
    await fetch(standIn.apiUrl.replace("/v3", `/sandbox${path}/pay`), { method: "POST" });
    expect((await call(standIn, path)).body).toMatchObject({
      status: "succeeded",
      paid: true,
      captured_at: expect.any(String),
    });
  });

  test("holds a payment without capture until it is captured, and refuses what its state does not allow", async () => {
    const standIn = await standInFor();
    const made = await call(standIn, "/payments", { method: "POST", key: "k1", body: { amount: hundred } });
    const path = `/payments/${String(made.body["id"])}`;
    expect((await call(standIn, `${path}/capture`, { method: "POST", key: "k2" })).status).toBe(400);
    await fetch(standIn.apiUrl.replace("/v3", `/sandbox${path}/pay`), { method: "POST" });
    expect((await call(standIn, path)).body).toMatchObject({ status: "waiting_for_capture" });
    expect(await call(standIn, `${path}/capture`, { method: "POST", key: "k3" })).toMatchObject({
      status: 200,
      body: { status: "succeeded" },
    });
    expect((await call(standIn, `${path}/cancel`, { method: "POST", key: "k4" })).status).toBe(400);
  });

  test("answers an idempotence key with the first result for 24 hours, and makes a new payment after them", async () => {
    let now = Date.parse("2026-11-22T10:00:00Z");
    const standIn = await standInFor({ now: () => now });
    const pay = (body: unknown = { amount: hundred }): Promise<Answer> =>
      call(standIn, "/payments", { method: "POST", key: "same", body });
    const first = await pay();
    expect((await pay()).body["id"]).toBe(first.body["id"]);
    expect((await pay({ amount: { value: "5.00", currency: "RUB" } })).status).toBe(400);
    now += 24 * 3600 * 1000;
    expect((await pay()).body["id"]).not.toBe(first.body["id"]);
  });

  test("refunds no more than was paid", async () => {
    const standIn = await standInFor();
    standIn.seed([{ id: "paid-1", status: "succeeded", amount: hundred }]);
    const refund = (key: string, value: string): Promise<Answer> =>
      call(standIn, "/refunds", {
        method: "POST",
        key,
        body: { payment_id: "paid-1", amount: { value, currency: "RUB" } },
      });
    const made = await refund("r1", "60.00");
    expect(made).toMatchObject({ status: 200, body: { status: "succeeded", payment_id: "paid-1" } });
    expect((await refund("r2", "60.00")).status).toBe(400);
    expect((await call(standIn, `/refunds/${String(made.body["id"])}`)).body).toMatchObject({ payment_id: "paid-1" });
    expect((await call(standIn, "/payments/paid-1")).body).toMatchObject({
      refunded_amount: { value: "60.00", currency: "RUB" },
    });
  });

  test.for([
    { when: "the secret is wrong", path: "/payments/x", given: { secret: "other" }, status: 401 },
    { when: "the object is unknown", path: "/payments/x", given: {}, status: 404 },
    {
      when: "the key is missing",
      path: "/payments",
      given: { method: "POST", body: { amount: hundred } },
      status: 400,
    },
    {
      when: "the amount is a number",
      path: "/payments",
      given: { method: "POST", key: "k", body: { amount: { value: 1, currency: "RUB" } } },
      status: 400,
    },
  ] as const)("answers $status when $when", async ({ path, given, status }) => {
    const standIn = await standInFor();
    const answer = await call(standIn, path, given);
    expect(answer).toMatchObject({ status, body: { type: "error" } });
  });

  test("keeps payments and refunds over a restart", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "warren-yookassa-"));
    cleanups.push(() => rm(dataDir, { recursive: true, force: true }));
    const first = await startYookassa({ port: 0, dataDir });
    first.seed([{ id: "kept", status: "succeeded", amount: hundred }]);
    await first[Symbol.asyncDispose]();
    const second = await standInFor({ dataDir });
    expect(second.payment("kept")).toMatchObject({ status: "succeeded" });
  });
});

describe("a fault of the YooKassa stand-in", () => {
  test("error and rate limit: answers so, as often as asked, and remembers the calls", async () => {
    const standIn = await standInFor();
    standIn.seed([{ id: "p", status: "succeeded", amount: hundred }]);
    standIn.setFault({ kind: "error", status: 500, times: 1 });
    expect((await call(standIn, "/payments/p")).status).toBe(500);
    standIn.setFault({ kind: "rate-limit", retryAfterSeconds: 2, times: 1 });
    const limited = await call(standIn, "/payments/p");
    expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "2"]);
    expect((await call(standIn, "/payments/p")).status).toBe(200);
    expect(standIn.calls().map(({ status }) => status)).toEqual([500, 429, 200]);
  });

  test("an error with `happens` leaves a payment behind that the same key then finds", async () => {
    const standIn = await standInFor();
    standIn.setFault({ kind: "error", status: 500, happens: true, times: 1 });
    const pay = (): Promise<Answer> =>
      call(standIn, "/payments", { method: "POST", key: "unsure", body: { amount: hundred } });
    expect((await pay()).status).toBe(500);
    expect((await pay()).status).toBe(200);
    const { body } = await call(standIn, "/payments");
    expect(body["items"]).toHaveLength(1);
  });

  test("slow: the answer waits; drop: there is none", async () => {
    const standIn = await standInFor();
    standIn.setFault({ kind: "slow", delayMs: 100 });
    const started = performance.now();
    await call(standIn, "/me");
    expect(performance.now() - started).toBeGreaterThanOrEqual(95);
    standIn.setFault({ kind: "drop", method: "GET" });
    await expect(call(standIn, "/me")).rejects.toThrow("fetch failed");
  });
});
