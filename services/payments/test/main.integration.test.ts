import { migrate } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { createWorld, spawnService } from "@warren/testing";
import { expect, test } from "vitest";

const log = createLogger({ service: "test", level: "silent" });
const entry = "services/payments/src/main.ts";

test("the process gets ready without asking YooKassa, and ends in order on SIGTERM", async () => {
  await using world = await createWorld();
  await migrate({ connectionString: world.databaseUrl, log });
  await using service = await spawnService({
    entry,
    env: {
      DATABASE_URL: world.databaseUrl,
      AMQP_URL: world.amqpUrl,
      WARREN_YOOKASSA_SHOP_ID: "1",
      WARREN_YOOKASSA_SECRET_KEY: "the-secret-key",
    },
  });
  expect(await (await fetch(`${service.url}/metrics`)).text()).toContain(
    'breaker="yookassa:get-payment",state="closed"',
  );
  expect(await service.terminate()).toMatchObject({ code: 0 });
  expect(service.logs().join("\n")).not.toContain("the-secret-key");
});

test("without keys it refuses to start and names the settings", async () => {
  await expect(
    spawnService({ entry, env: { DATABASE_URL: "postgres://localhost/x", AMQP_URL: "amqp://localhost" } }),
  ).rejects.toThrow(/WARREN_YOOKASSA_SHOP_ID[\s\S]*WARREN_YOOKASSA_SECRET_KEY/);
});
