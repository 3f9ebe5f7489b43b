import { describe, expect, test } from "vitest";
import { createHealth } from "../src/index.ts";

const ok = () => ({ status: "ok" }) as const;
const failing = () => ({ status: "failing", detail: "no" }) as const;
const throwing = () => Promise.reject(new Error("connect postgres://u:hunter2@db failed"));
const degraded = () => ({ status: "degraded", detail: "blocked" }) as const;

describe("health", () => {
  test.for([
    { checks: {}, http: 200, status: "ok" },
    { checks: { a: ok, b: ok }, http: 200, status: "ok" },
    { checks: { a: ok, b: degraded }, http: 200, status: "degraded" },
    { checks: { a: degraded, b: failing }, http: 503, status: "failing" },
  ])("of $checks is $status", async ({ checks, http, status }) => {
    const answer = await createHealth({ checks }).readyz();
    expect([answer.httpStatus, answer.body.status]).toEqual([http, status]);
  });

  test("names each check with its result and how long it took", async () => {
    const { body } = await createHealth({ checks: { postgres: failing } }).readyz();
    expect(body.checks["postgres"]).toEqual({ status: "failing", detail: "no", durationMs: expect.any(Number) });
  });

  test("takes a check that throws for failing, without credentials in its words", async () => {
    const { httpStatus, body } = await createHealth({ checks: { postgres: throwing } }).readyz();
    expect(httpStatus).toBe(503);
    expect(body.checks["postgres"]?.detail).toContain("@db failed");
    expect(body.checks["postgres"]?.detail).not.toContain("hunter2");
  });

  test("does not wait for a check beyond its time, tells it so, and asks anew next time", async () => {
    let calls = 0;
    let signal: AbortSignal | undefined;
    const hangs = (given: AbortSignal) => {
      calls += 1;
      signal = given;
      return new Promise<never>(() => undefined);
    };
    const health = createHealth({ checks: { a: ok, db: hangs }, timeoutMs: 20 });
    const { httpStatus, body } = await health.readyz();
    expect(httpStatus).toBe(503);
    expect(body.checks).toMatchObject({
      a: { status: "ok" },
      db: { status: "failing", detail: "no answer within 20 ms" },
    });
    expect(signal?.aborted).toBe(true);
    await health.readyz();
    expect(calls).toBe(2);
  });

  test("runs a check once for probes that come at the same time", async () => {
    let calls = 0;
    const check = async () => {
      calls += 1;
      await Promise.resolve();
      return ok();
    };
    const health = createHealth({ checks: { a: check } });
    await Promise.all([health.readyz(), health.readyz(), health.healthz()]);
    expect(calls).toBe(1);
  });

  test("is starting, then ready, then draining; and alive throughout", async () => {
    const health = createHealth({ checks: { a: ok }, started: false });
    const seen = async () => {
      const { httpStatus, body } = await health.readyz();
      return [httpStatus, body.status, health.livez().httpStatus];
    };
    expect(await seen()).toEqual([503, "starting", 200]);
    health.started();
    expect(await seen()).toEqual([200, "ok", 200]);
    health.drain();
    expect(await seen()).toEqual([503, "draining", 200]);
    health.started();
    expect(await seen()).toEqual([503, "draining", 200]);
  });

  test("asks detail checks in healthz only, where they inform and do not fail", async () => {
    const health = createHealth({ checks: { a: ok } });
    health.add("smtp", failing, "detail");
    expect((await health.readyz()).body).toMatchObject({ status: "ok", checks: { a: { status: "ok" } } });
    expect((await health.readyz()).body.checks).not.toHaveProperty("smtp");
    const { httpStatus, body } = await health.healthz();
    expect([httpStatus, body.status, body.checks["smtp"]?.status]).toEqual([200, "degraded", "failing"]);
  });
});
