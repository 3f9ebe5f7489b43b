import { randomUUID } from "node:crypto";
import { jobsExchange, jobsTopology, openSession } from "@warren/amqp";
import { sendTemplate } from "@warren/contracts";
import { createClient, sendTemplateEmail } from "@warren/jobs";
import { migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";
import { startMailSink } from "@warren/sandbox";
import { createWorld, spawnService, waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { notificationsConfig } from "../src/config.ts";

const log = createLogger({ service: "test", level: "silent" });

describe("the process", () => {
  test("gets ready, sends, shows its metrics, and ends in order on SIGTERM", async () => {
    await using world = await createWorld();
    await using sink = await startMailSink({ smtpPort: 0, httpPort: 0 });
    await migrate({ connectionString: world.databaseUrl, log });
    await using ledger = await openLedger({ connectionString: world.databaseUrl, log });
    await using session = await openSession({ urls: [world.amqpUrl], name: "test", log });
    await using service = await spawnService({
      entry: "services/notifications/src/main.ts",
      env: { DATABASE_URL: world.databaseUrl, AMQP_URL: world.amqpUrl, SMTP_URL: sink.smtpUrl },
    });
    await session.declare(jobsTopology({ queues: ["notifications"] }));
    await using client = createClient({
      ledger,
      publisher: session.publisher(),
      log,
      metrics: createMetrics({ service: "test", version: "0" }),
    });
    await client.enqueue(
      sendTemplateEmail,
      sendTemplate({ id: "1", email: "anna@example.com", locale: "ru" }, "welcome", {
        product: "Warren",
        signInUrl: "https://example.com",
      }),
    );
    await waitFor(() => sink.messages().length === 1, { what: "the mail" });
    expect(sink.messages()).toMatchObject([{ subject: "Добро пожаловать в Warren" }]);
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toMatch(/warren_deliveries_total\{.*outcome="accepted".*\} 1/);
    const health = (await (await fetch(`${service.url}/healthz`)).json()) as {
      checks: Record<string, { status: string }>;
    };
    expect(health.checks.smtp?.status).toBe("ok");
    // a message that is not ours harms nobody
    const foreign = { exchange: jobsExchange, routingKey: "notifications", body: Buffer.from("not ours") };
    await session.publisher().publish({ ...foreign, messageId: randomUUID() });
    expect(await service.terminate()).toMatchObject({ code: 0 });
    expect(service.logs().join("\n")).not.toContain("anna@example.com");
  });

  test("refuses wrong settings with exit 2, naming each with its fix and none with its value", async () => {
    await expect(
      spawnService({
        entry: "services/notifications/src/main.ts",
        env: { SMTP_URL: "http://secret@mail", WARREN_MAIL_FROM: "nobody", WARREN_TIME_ZONE: "Mars/Base" },
      }),
    ).rejects.toThrow(/SMTP_URL[\s\S]*WARREN_MAIL_FROM|WARREN_MAIL_FROM[\s\S]*SMTP_URL/);
  });
});

describe("the sender", () => {
  test.for([
    ["no-reply@example.com", { name: "", address: "no-reply@example.com" }],
    ["Книги и чай <shop@example.com>", { name: "Книги и чай", address: "shop@example.com" }],
  ] as const)("%s is taken", ([text, sender]) => {
    const config = notificationsConfig.parse({ SMTP_URL: "smtp://localhost:1025", WARREN_MAIL_FROM: text });
    expect(config.WARREN_MAIL_FROM).toEqual(sender);
  });

  test.for(["", "nobody", "a@b.c, d@e.f", "x <a@b.c>\r\nBcc: d@e.f", 'x" <a@b.c>'])("%j is refused", (text) => {
    expect(notificationsConfig.safeParse({ SMTP_URL: "smtp://localhost", WARREN_MAIL_FROM: text }).success).toBe(false);
  });
});
