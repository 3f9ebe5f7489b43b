import { migrate } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { createWorld, spawnService, startTcpProxy, waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";

const entry = "shared/service/test/fixtures/connected-service.ts";
const log = createLogger({ service: "test", level: "silent" });

interface Readiness {
  readonly status: string;
  readonly checks: Readonly<Record<string, { readonly status: string; readonly detail?: string }>>;
}

async function readyz(url: string): Promise<{ status: number; body: Readiness }> {
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, body: (await response.json()) as Readiness };
}

function portOf(url: string, otherwise: number): number {
  const port = new URL(url).port;
  return port === "" ? otherwise : Number(port);
}

describe("a service on the ledger and the broker", () => {
  test("waits for both when they are down at its start, and becomes ready by itself", async () => {
    await using world = await createWorld();
    await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
    await using database = await startTcpProxy({ targetPort: portOf(world.databaseUrl, 5432) });
    await using broker = await startTcpProxy({ targetPort: portOf(world.amqpUrl, 5672) });
    await database.refuse();
    await broker.refuse();
    await using service = await spawnService({
      entry,
      readyPath: "/livez",
      env: {
        DATABASE_URL: database.through(world.databaseUrl),
        AMQP_URL: broker.through(world.amqpUrl),
        WARREN_SCHEMA: world.schema,
      },
    });
    await service.waitForRecord((record) => String(record["msg"]).startsWith("the database does not answer yet"));
    const early = await readyz(service.url);
    expect(early.status).toBe(503);
    expect(early.body).toMatchObject({
      status: "starting",
      checks: { postgres: { status: "failing" }, migrations: { status: "failing" }, amqp: { status: "failing" } },
    });
    await database.heal();
    await service.waitForRecord((record) => record["msg"] === "service started");
    const half = await readyz(service.url);
    expect(half.status).toBe(503);
    expect(half.body).toMatchObject({
      status: "failing",
      checks: { postgres: { status: "ok" }, migrations: { status: "ok" }, amqp: { status: "failing" } },
    });
    await broker.heal();
    await waitFor(async () => (await readyz(service.url)).status === 200, { what: "readiness", timeoutMs: 15_000 });
    await broker.refuse();
    broker.cut();
    await waitFor(async () => (await readyz(service.url)).body.checks["amqp"]?.status === "failing", {
      what: "a lost broker to show",
    });
    expect((await fetch(`${service.url}/livez`)).status).toBe(200);
    await broker.heal();
    expect((await service.terminate()).code).toBe(0);
    expect(service.logs().join("\n")).not.toMatch(/:\/\/[^\s/[]+:[^\s@]+@/);
  });

  test("refuses a database that was never migrated, and says how to do it", async () => {
    await using world = await createWorld({ database: "empty" });
    await using service = await spawnService({
      entry,
      readyPath: null,
      env: { DATABASE_URL: world.databaseUrl, AMQP_URL: world.amqpUrl, WARREN_SCHEMA: world.schema },
    });
    expect(await service.exited).toMatchObject({ code: 1 });
    const fatal = service.records().find((record) => record["level"] === "fatal");
    expect(fatal).toMatchObject({ err: { code: "LEDGER_SCHEMA_BEHIND" } });
  });

  test("stops when told to while it still waits", async () => {
    await using world = await createWorld();
    await using database = await startTcpProxy({ targetPort: portOf(world.databaseUrl, 5432) });
    await database.refuse();
    await using service = await spawnService({
      entry,
      readyPath: "/livez",
      env: { DATABASE_URL: database.through(world.databaseUrl), AMQP_URL: world.amqpUrl, WARREN_SCHEMA: world.schema },
    });
    await service.waitForRecord((record) => String(record["msg"]).startsWith("the database does not answer yet"));
    expect((await service.terminate()).code).toBe(0);
  });
});
