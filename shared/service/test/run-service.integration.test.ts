import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { spawnService } from "@warren/testing";
import { describe, expect, test } from "vitest";

const entry = "shared/service/test/fixtures/tiny-service.ts";
const env = { TINY_SECRET: "long-enough-secret" };

/** Starts the tiny service without waiting for readiness; it may be about to fail. */
const spawn = (extra: Record<string, string> = {}, port?: number) =>
  spawnService({ entry, env: { ...env, ...extra }, readyPath: null, ...(port === undefined ? {} : { port }) });

describe("a service", () => {
  test("answers its health routes, and says what it is in the metrics", async () => {
    await using service = await spawnService({ entry, env });
    const [livez, readyz, healthz, metrics] = await Promise.all(
      ["/livez", "/readyz", "/healthz", "/metrics"].map((path) => fetch(service.url + path)),
    );
    expect([livez?.status, readyz?.status, healthz?.status, metrics?.status]).toEqual([200, 200, 200, 200]);
    expect(await readyz?.json()).toEqual({ status: "ok", checks: {} });
    expect(await healthz?.json()).toMatchObject({
      status: "degraded",
      checks: { mood: { status: "degraded", detail: "calm" } },
    });
    const text = await metrics?.text();
    expect(text).toContain('warren_build_info{service="tiny",version="1.2.3"');
    expect(text).toContain("nodejs_eventloop_lag_p99_seconds");
  });

  test.for(["SIGTERM", "SIGINT"] as const)("on %s takes no more, finishes, lets go, and ends with 0", async (name) => {
    await using service = await spawnService({ entry, env });
    service.signal(name);
    expect(await service.exited).toMatchObject({ code: 0 });
    expect(service.records().map((record) => record["msg"])).toEqual([
      "service started",
      "signal received, stopping",
      "tiny quiet",
      "tiny draining",
      "tiny drained",
      "tiny disposed",
      "service stopped",
    ]);
  });

  test("is alive but not ready while it drains", async () => {
    await using service = await spawnService({ entry, env: { ...env, TINY_MOOD: "stubborn" } });
    service.signal("SIGTERM");
    await service.waitForRecord((record) => record["msg"] === "tiny draining");
    const readyz = await fetch(`${service.url}/readyz`);
    expect([readyz.status, await readyz.json()]).toEqual([503, { status: "draining", checks: {} }]);
    expect((await fetch(`${service.url}/livez`)).status).toBe(200);
  });

  test("is told when its time to finish is over, and still ends in order", async () => {
    await using service = await spawnService({
      entry,
      env: { ...env, TINY_MOOD: "stubborn", WARREN_SHUTDOWN_TIMEOUT_MS: "50" },
    });
    service.signal("SIGTERM");
    expect(await service.exited).toMatchObject({ code: 0 });
    expect(service.records()).toContainEqual(expect.objectContaining({ msg: "tiny drained", late: true }));
  });

  test("hands back what has not finished at the second signal, and still ends in order", async () => {
    await using service = await spawnService({ entry, env: { ...env, TINY_MOOD: "stubborn" } });
    service.signal("SIGTERM");
    await service.waitForRecord((record) => record["msg"] === "tiny draining");
    service.signal("SIGINT");
    expect(await service.exited).toMatchObject({ code: 130 });
    expect(service.records()).toContainEqual(expect.objectContaining({ msg: "tiny drained", late: true }));
    expect(service.records().map((record) => record["msg"])).toContain("tiny disposed");
  });

  test("ends at once at the third signal", async () => {
    await using service = await spawnService({ entry, env: { ...env, TINY_MOOD: "stuck" } });
    service.signal("SIGTERM");
    await service.waitForRecord((record) => record["msg"] === "tiny draining");
    service.signal("SIGTERM");
    await service.waitForRecord((record) => String(record["msg"]).startsWith("second signal"));
    service.signal("SIGTERM");
    expect(await service.exited).toMatchObject({ code: 143 });
    expect(service.records().map((record) => record["msg"])).not.toContain("tiny disposed");
  });

  test("that asks to be started again stops in order, and ends with 75", async () => {
    await using service = await spawn({ TINY_MOOD: "recycle" });
    expect(await service.exited).toMatchObject({ code: 75 });
    const messages = service.records().map((record) => record["msg"]);
    expect(messages.slice(-6)).toEqual([
      "the service asks to be started again, stopping",
      "tiny quiet",
      "tiny draining",
      "tiny drained",
      "tiny disposed",
      "service stopped",
    ]);
    expect(service.records()).toContainEqual(expect.objectContaining({ reason: { limit: "afterJobs", jobs: 7 } }));
  });

  test("with wrong settings names all of them, no value, and ends with 2", async () => {
    await using service = await spawn({ TINY_SECRET: "hunter2", TINY_COUNT: "none", LOG_LEVEL: "loud" });
    expect(await service.exited).toMatchObject({ code: 2 });
    const fatal = service.records().find((record) => record["level"] === "fatal");
    expect(fatal).toMatchObject({ code: "CONFIG_INVALID" });
    for (const variable of ["TINY_SECRET", "TINY_COUNT", "LOG_LEVEL"])
      expect(fatal?.["msg"]).toContain(`${variable} is not valid: expected`);
    expect(service.logs().join("\n")).not.toContain("hunter2");
  });

  test("whose port is taken says so in one sentence and ends with 1", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => {
      other.once("listening", resolve);
    });
    const { port } = other.address() as AddressInfo;
    await using service = await spawn({}, port);
    expect(await service.exited).toMatchObject({ code: 1 });
    expect(service.logs().join("\n")).toContain(`port ${port} is taken by another program: set PORT to a free one`);
    other.close();
  });

  test.for([
    { mood: "throw-later", text: "nobody caught this" },
    { mood: "reject-later", text: "nobody handled this" },
    { mood: "fail-later", text: "the loop died" },
    { mood: "throw-at-start", text: "no such queue" },
  ])("that meets $mood logs it as fatal and ends with 1", async ({ mood, text }) => {
    await using service = await spawn({ TINY_MOOD: mood });
    expect(await service.exited).toMatchObject({ code: 1 });
    const fatal = service.records().find((record) => record["level"] === "fatal");
    expect(JSON.stringify(fatal)).toContain(text);
  });

  test("that reports its own end still shuts down in order", async () => {
    await using service = await spawn({ TINY_MOOD: "fail-later" });
    await service.exited;
    expect(service.records().map((record) => record["msg"])).toContain("tiny disposed");
  });
});
