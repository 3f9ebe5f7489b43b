import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, defineJob, openPayloads } from "@warren/jobs";
import { migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";
import { createWorld } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { type Shell, shell } from "./shell.ts";

const log = createLogger({ service: "test", level: "silent" });
const secret = defineJob({
  name: "secret",
  payload: z.object({ card: z.string() }),
  encrypt: true,
  offloadAboveBytes: 100,
});
const key = (id: string): string => `${id}:${randomBytes(32).toString("base64")}`;

const command = (environment: Shell["environment"], ...args: readonly string[]) => shell({ environment }, args);

test("rotate, sweep and show: sealed payloads under new keys, orphans gone, placeholders for who has no key", async () => {
  await using world = await createWorld();
  const directory = mkdtempSync(join(tmpdir(), "warren-cli-"));
  const settings = { WARREN_PAYLOAD_KEYS: key("k1"), WARREN_PAYLOAD_STORE: `file://${directory}` };
  const base = { DATABASE_URL: world.databaseUrl, WARREN_SCHEMA: world.schema };
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  let id = "";
  {
    await using ledger = await openLedger({
      connectionString: world.databaseUrl,
      schema: world.schema,
      log,
      poolSize: 1,
    });
    await using client = createClient({
      ledger,
      log,
      metrics: createMetrics({ service: "test", version: "0" }),
      payloads: openPayloads(settings),
    });
    id = (await client.enqueue(secret, { card: "4111".repeat(50) }, { delayMs: 60_000 })).id;
  }
  const next = { ...base, ...settings, WARREN_PAYLOAD_KEYS: `${key("k2")},${settings.WARREN_PAYLOAD_KEYS}` };
  expect(await command(next, "payloads", "rotate")).toMatchObject({
    exitCode: 0,
    stdout: "key k2: 1 encrypted anew, 0 were, 0 busy, 0 failed\n",
  });
  const strange = { ...base, ...settings, WARREN_PAYLOAD_KEYS: key("k3") };
  expect(await command(strange, "payloads", "rotate")).toMatchObject({
    exitCode: 1,
    stdout: expect.stringContaining(`${id} PAYLOAD_KEY_UNKNOWN`),
  });

  const shown = await command(next, "job", "show", id);
  expect(shown.stdout).toContain("4111");
  const blind = await command(base, "job", "show", id);
  expect(blind.stdout).toMatch(/payload\t\{"encrypted":\{"keyId":"k2"\},"offloaded":\{"bytes":\d+\}\}/);

  const files = (): readonly string[] =>
    readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((path) => path.includes(".payload."));
  expect(files()).toHaveLength(2);
  for (const path of files()) utimesSync(join(directory, path), new Date(0), new Date(0));
  expect(await command(next, "-o", "json", "payloads", "sweep")).toMatchObject({ exitCode: 0 });
  expect(files()).toHaveLength(1);
  expect((await command(next, "job", "show", id)).stdout).toContain("4111");
  rmSync(directory, { recursive: true });
});

test.for([
  { args: ["payloads", "rotate"], environment: {}, code: "PAYLOAD_KEY_RING_MISSING" },
  {
    args: ["payloads", "rotate"],
    environment: { WARREN_PAYLOAD_KEYS: "k1:c2hvcnQ=" },
    code: "PAYLOAD_KEY_RING_INVALID",
  },
  { args: ["payloads", "sweep"], environment: {}, code: "PAYLOAD_STORE_MISSING" },
  { args: ["payloads", "sweep"], environment: { WARREN_PAYLOAD_STORE: "/tmp" }, code: "PAYLOAD_STORE_INVALID" },
])("$args with $environment is refused with $code and exit code 2", async ({ args, environment, code }) => {
  const { exitCode, stderr } = await command(environment, ...args);
  expect([exitCode, stderr]).toEqual([2, expect.stringMatching(new RegExp(`^error ${code}: [^]*\nfix: `))]);
});
