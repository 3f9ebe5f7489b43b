import { createHealth, createLogger, createMetrics } from "@warren/observability";
import fastify from "fastify";
import { expect, test } from "vitest";
import { registerHealthRoutes } from "../src/index.ts";

test("a service's own server, with its own logger, gives the health routes, never cached and never logged", async () => {
  const lines: string[] = [];
  const log = createLogger({ service: "test", level: "info", destination: { write: (line) => void lines.push(line) } });
  const app = fastify({ loggerInstance: log });
  app.get("/hello", async () => ({ hello: "world" }));
  const health = createHealth({ checks: { broken: () => ({ status: "failing", detail: "no" }) } });
  registerHealthRoutes(app, health, createMetrics({ service: "test", version: "1" }));
  const readyz = await app.inject("/readyz");
  expect(readyz.statusCode).toBe(503);
  expect(readyz.headers).toMatchObject({
    "cache-control": "no-store",
    "content-type": "application/json; charset=utf-8",
  });
  expect(readyz.json()).toMatchObject({ status: "failing", checks: { broken: { detail: "no" } } });
  expect((await app.inject("/livez")).statusCode).toBe(200);
  expect((await app.inject({ method: "HEAD", url: "/readyz" })).statusCode).toBe(503);
  const metrics = await app.inject("/metrics");
  expect(metrics.headers["content-type"]).toContain("text/plain");
  expect(metrics.body).toContain("warren_build_info");
  expect(lines).toEqual([]);
  await app.inject("/hello");
  expect(lines.join("")).toContain('"path":"/hello"');
  await app.close();
});
