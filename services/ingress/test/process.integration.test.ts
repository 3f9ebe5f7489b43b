import { jobQueue, jobsTopology, openSession } from "@warren/amqp";
import { jobMessage } from "@warren/contracts";
import { openLedger } from "@warren/ledger";
import { createWorld, freePort, spawnService, type World, waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { githubHeaders, jobsOf, log, post, prepare, requestsOf } from "./fixture.ts";
import { githubSecret } from "./signed.ts";

const entry = "services/ingress/src/main.ts";
const apiKey = "0123456789abcdef0123456789";
const closedPort = "amqp://guest:guest@127.0.0.1:1";

function environment(world: World, amqpUrl: string): Record<string, string> {
  return {
    DATABASE_URL: world.databaseUrl,
    WARREN_SCHEMA: world.schema,
    AMQP_URL: amqpUrl,
    WARREN_SOURCE_GITHUB: "github",
    WARREN_SOURCE_GITHUB_SECRET: `next secret,${githubSecret}`,
    WARREN_NOTIFY_EMAIL: "operator@example.com",
  };
}

describe("the ingress as a process", () => {
  test("ends with exit code 2, naming the variable, when a source is set up wrongly", async () => {
    await using world = await createWorld();
    await prepare(world);
    const env = { ...environment(world, world.amqpUrl), WARREN_SOURCE_GITHUB: "no-such-provider" };
    await using service = await spawnService({ entry, env, readyPath: null });
    expect(await service.exited).toMatchObject({ code: 2 });
    expect(service.logs().join("\n")).toContain("WARREN_SOURCE_GITHUB");
  });

  test("tells workers of a job by a message, once the job is committed", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using service = await spawnService({ entry, env: environment(world, world.amqpUrl) });
    const answer = await post(service, "github", githubHeaders("{}", "d-1"), "{}");
    expect([answer.status, answer.body["status"]]).toEqual([202, "accepted"]);

    await using session = await openSession({ urls: [world.amqpUrl], name: "test", log });
    await session.declare(jobsTopology({ queues: ["notifications"] }));
    const { promise: message, resolve } = Promise.withResolvers<unknown>();
    await session.consume({
      queue: jobQueue("notifications"),
      prefetch: 1,
      onMessage: (delivery) => {
        resolve(JSON.parse(delivery.body.toString()));
        delivery.ack();
      },
    });
    await using ledger = await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log });
    const [job] = await jobsOf({ ledger });
    expect(jobMessage.parse(await message).jobs).toEqual([job?.["id"]]);
    await service.terminate();
  });

  test("accepts and routes webhooks while the broker is away, and is ready all the same", async () => {
    await using world = await createWorld();
    await prepare(world);
    const apiPort = await freePort();
    const api = { WARREN_API_KEYS: apiKey, WARREN_API_PORT: String(apiPort) };
    await using service = await spawnService({ entry, env: { ...environment(world, closedPort), ...api } });
    expect((await fetch(`${service.url}/readyz`)).status).toBe(200);
    const rule = {
      name: "publish",
      transform: { code: "function transform({ type }) { return { type }; }" },
      to: { kind: "event", type: "code.pushed" },
    };
    const made = await fetch(`http://127.0.0.1:${apiPort}/api/v1/rules`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify(rule),
    });
    expect(made.status).toBe(201);
    const answers = await Promise.all(
      ["d-1", "d-2", "d-3"].map((delivery) => post(service, "github", githubHeaders("{}", delivery), "{}")),
    );
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    await using ledger = await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log });
    expect((await jobsOf({ ledger })).map((job) => [job["state"], job["sent_at"]])).toEqual([
      ["ready", null],
      ["ready", null],
      ["ready", null],
    ]);
    const outbox = await ledger.query(`select type, body from ${ledger.table("event_outbox")}`, []);
    expect(outbox.rows).toEqual(Array.from({ length: 3 }, () => ({ type: "code.pushed", body: '{"type":"push"}' })));
    await service.terminate();
  });

  test("ends by SIGTERM under load with exit 0, and has stored all that it answered 2xx", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using service = await spawnService({ entry, env: environment(world, world.amqpUrl) });
    const stored: string[] = [];
    const senders = Array.from({ length: 8 }, async (_, sender) => {
      for (let count = 0; ; count++) {
        const delivery = `d-${sender}-${count}`;
        try {
          const { status } = await post(service, "github", githubHeaders("{}", delivery), "{}");
          if (status === 202) stored.push(delivery);
        } catch {
          return;
        }
      }
    });
    await waitFor(() => stored.length > 100);
    const exit = await service.terminate();
    await Promise.all(senders);
    expect(exit).toMatchObject({ code: 0 });
    await using ledger = await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log });
    const kept = new Set((await requestsOf({ ledger })).map((request) => request["dedupe_key"]));
    expect(stored.filter((delivery) => !kept.has(delivery))).toEqual([]);
  });

  test("that is killed under load has stored all that it answered 2xx", async () => {
    await using world = await createWorld({ leaks: "ignore" });
    await prepare(world);
    await using service = await spawnService({ entry, env: environment(world, closedPort) });
    const stored: string[] = [];
    const senders = Array.from({ length: 8 }, async (_, sender) => {
      for (let count = 0; ; count++) {
        const delivery = `d-${sender}-${count}`;
        try {
          if ((await post(service, "github", githubHeaders("{}", delivery), "{}")).status === 202)
            stored.push(delivery);
        } catch {
          return;
        }
      }
    });
    await waitFor(() => stored.length > 100);
    await service.kill();
    await Promise.all(senders);
    await using ledger = await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log });
    const kept = new Set((await requestsOf({ ledger })).map((request) => request["dedupe_key"]));
    expect(stored.filter((delivery) => !kept.has(delivery))).toEqual([]);
  });

  test("logs neither secrets nor a line for each request", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using service = await spawnService({ entry, env: environment(world, world.amqpUrl) });
    await post(service, "github?token=in-the-url", githubHeaders("{}", "d-1"), "{}");
    await post(service, "github?token=in-the-url", githubHeaders("{}", "d-2", "wrong"), "{}");
    await service.terminate();
    const text = service.logs().join("\n");
    expect(text).not.toContain(githubSecret);
    expect(text).not.toContain("in-the-url");
    expect(text).not.toContain("d-1");
  });
});
