import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { databaseSentence } from "../src/start/database/open.ts";
import { portSentence, requirePorts, stablePort } from "../src/start/ports.ts";
import { readyTable, withoutPassword } from "../src/start/ready-table.ts";
import { sentenceOf } from "../src/start/refusal.ts";
import { ensureSecrets, keyVariables, readSecret, sourceVariables } from "../src/start/secrets.ts";
import { lastWordsOf } from "../src/start/service-log.ts";
import { planSandbox, planServices, servicePorts } from "../src/start/services.ts";
import { readSettings, type Settings } from "../src/start/settings.ts";
import { openStateFolder } from "../src/start/state-folder.ts";
import { restartDelayMs } from "../src/start/supervisor.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "warren-start-"));
  folders.push(path);
  return path;
}

function settingsOf(env: Readonly<Record<string, string>> = {}): Settings {
  const settings = readSettings([], env);
  if (settings === undefined) throw new Error("help was not asked for");
  return settings;
}

describe("settings", () => {
  test("an unknown argument and a malformed port are refused by name", () => {
    expect(() => readSettings(["--verbos"], {})).toThrow("--verbos");
    expect(() => readSettings([], { WARREN_SMTP_PORT: "many" })).toThrow("WARREN_SMTP_PORT");
    expect(readSettings(["--help"], {})).toBeUndefined();
  });

  test("empty variables count as not set", () => {
    expect(settingsOf({ AMQP_URL: "", SMTP_URL: "" })).toMatchObject({ amqpUrl: undefined, smtpUrl: undefined });
  });
});

describe("the plan of services", () => {
  const around = {
    databaseUrl: "postgres://db",
    amqpUrl: "amqp://mq",
    smtpUrl: "smtp://127.0.0.1:1025",
    yookassaUrl: "http://127.0.0.1:8026/v3",
    secretsFolder: "/secrets",
  };

  test("gives every service its own port, moved by its variable, and unknown services the next ones", () => {
    const ports = servicePorts(["reports", "ingress", "dispatcher"], { WARREN_INGRESS_PORT: "9000" });
    expect(ports.map(({ name, port }) => [name, port])).toEqual([
      ["dispatcher", 8081],
      ["ingress", 9000],
      ["reports", 8085],
    ]);
    expect(() => servicePorts(["ingress"], { WARREN_INGRESS_PORT: "0" })).toThrow("WARREN_INGRESS_PORT");
  });

  test("keeps what the user set, but binds to loopback and to the platform's own servers", () => {
    const settings = settingsOf({
      WARREN_NOTIFY_EMAIL: "ann@example.com",
      HOST: "0.0.0.0",
      PORT: "1",
      LOG_LEVEL: "debug",
    });
    const [plan] = planServices(servicePorts(["ingress"], {}), settings, around);
    expect(plan?.env).toMatchObject({
      WARREN_NOTIFY_EMAIL: "ann@example.com",
      LOG_LEVEL: "debug",
      HOST: "127.0.0.1",
      PORT: "8080",
      AMQP_URL: "amqp://mq",
      WARREN_YOOKASSA_API_URL: "http://127.0.0.1:8026/v3",
      WARREN_SOURCE_GITHUB_SECRET_FILE: "/secrets/github",
    });
  });

  test("stops intake first and the dispatcher after the workers", () => {
    const names = ["dispatcher", "ingress", "notifications", "payments"];
    const plans = planServices(servicePorts(names, {}), settingsOf(), around);
    const order = plans.toSorted((a, b) => b.order - a.order).map(({ name }) => name);
    expect([order[0], order.at(-1)]).toEqual(["ingress", "dispatcher"]);
  });

  test.for([
    { env: {}, parts: "mail,yookassa" },
    { env: { SMTP_URL: "smtp://mail" }, parts: "yookassa" },
    { env: { WARREN_YOOKASSA_SECRET_KEY_FILE: "/run/key", WARREN_YOOKASSA_SHOP_ID: "1" }, parts: "mail" },
  ])("stands in only for what is not set up: $parts", ({ env, parts }) => {
    expect(planSandbox(settingsOf(env))?.env["WARREN_SANDBOX_PARTS"]).toBe(parts);
  });

  test("runs no sandbox when everything is set up", () => {
    expect(planSandbox(settingsOf({ SMTP_URL: "smtp://mail", WARREN_YOOKASSA_SHOP_ID: "1" }))).toBeUndefined();
  });
});

describe("webhook secrets", () => {
  test("are made once, at random, for this user only", async () => {
    const path = join(await folder(), "secrets");
    await ensureSecrets(path);
    const first = await readSecret(path, "stripe");
    await ensureSecrets(path);
    expect(await readSecret(path, "stripe")).toBe(first);
    expect(first).toMatch(/^whsec_[0-9a-f]{48}$/);
    expect((await stat(join(path, "stripe"))).mode & 0o777).toBe(0o600);
  });

  test("come with the key of the management API and a key ring, unless the user has his own", async () => {
    const path = join(await folder(), "secrets");
    await ensureSecrets(path);
    expect((await readFile(join(path, "api-key"), "utf8")).length).toBeGreaterThanOrEqual(24);
    expect(await readFile(join(path, "payload-keys"), "utf8")).toMatch(/^dev:[A-Za-z0-9+/]{43}=$/);
    expect((await stat(join(path, "payload-keys"))).mode & 0o777).toBe(0o600);
    expect(keyVariables(path, { WARREN_PAYLOAD_KEYS_FILE: "/mine" })).toEqual({
      WARREN_API_KEYS_FILE: join(path, "api-key"),
    });
  });

  test("do not touch sources that the user has set up", () => {
    const own = { WARREN_SOURCES: '{"stripe":{}}', WARREN_SOURCE_GITHUB_SECRET: "mine" };
    expect(Object.keys(sourceVariables("/s", own))).toEqual([
      "WARREN_SOURCE_STANDARD",
      "WARREN_SOURCE_STANDARD_SECRET_FILE",
      "WARREN_SOURCE_YOOKASSA",
    ]);
  });
});

describe("ports", () => {
  test("a taken port is refused with who has it and how to move", async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
    });
    const wanted = [{ port, owner: "ingress", variable: "WARREN_INGRESS_PORT" }];
    await expect(requirePorts(wanted)).rejects.toThrow(
      new RegExp(`port ${port} \\(ingress\\) is taken by .*WARREN_INGRESS_PORT=`),
    );
    await new Promise((resolve) => server.close(resolve));
    await requirePorts(wanted);
  });

  test("two owners of one port, and a port without the right, are told apart", async () => {
    const twins = ["A", "B"].map((owner) => ({ port: 29_999, owner, variable: `WARREN_${owner}_PORT` }));
    await expect(requirePorts(twins)).rejects.toThrow("A and B are both set to port 29999");
    expect(portSentence({ port: 80, owner: "ingress", variable: "V" }, "EACCES", undefined)).toContain("V=8080");
  });

  test("a private server's port stays the same while it is free", async () => {
    const file = join(await folder(), "ports.json");
    const first = await stablePort(file, "amqp");
    expect(await stablePort(file, "amqp")).toBe(first);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(first, "127.0.0.1", resolve));
    const second = await stablePort(file, "amqp");
    await new Promise((resolve) => server.close(resolve));
    expect(second).not.toBe(first);
  });
});

describe("the state folder", () => {
  test("is taken by one process, and a killed one's claim does not count", async () => {
    const path = await folder();
    await writeFile(join(path, "start.pid"), "999999999");
    const taken = await openStateFolder(path);
    expect(await readFile(join(path, "start.pid"), "utf8")).toBe(String(process.pid));
    await taken[Symbol.asyncDispose]();
    await expect(readFile(join(path, "start.pid"))).rejects.toThrow("ENOENT");
  });
});

describe("sentences", () => {
  test.for([
    { code: "ENOSPC", says: "no space is left" },
    { code: "EACCES", says: "no right to write" },
    { code: "EROFS", says: "read-only" },
  ])("$code becomes: $says", ({ code, says }) => {
    const error = new Error("outer", { cause: Object.assign(new Error("inner"), { code }) });
    expect(sentenceOf(error, "/x/.warren")).toContain(says);
  });

  test("a failure that nobody foresaw keeps its stack", () => {
    expect(sentenceOf(new TypeError("x is not a function"), "/x")).toBeUndefined();
  });

  test.for([
    { code: "28P01", says: "refuses the user ann" },
    { code: "3D000", says: "has no database shop" },
    { code: "ECONNREFUSED", says: "does not answer on db:5432" },
  ])("PostgreSQL's $code becomes: $says, without the password", ({ code, says }) => {
    const sentence = databaseSentence(Object.assign(new Error("no"), { code }), "postgres://ann:hush@db/shop");
    expect(sentence).toContain(says);
    expect(sentence).not.toContain("hush");
  });

  test("a service's last words are its errors, else its last lines", () => {
    const lines = [
      '{"level":30,"msg":"hello"}',
      '{"level":60,"msg":"wrong settings","err":{"message":"SMTP_URL is missing"}}',
    ];
    expect(lastWordsOf(lines)).toBe("wrong settings: SMTP_URL is missing");
    expect(lastWordsOf(["a", "b"])).toBe("a\nb");
  });
});

test("the ready table lines up and shows no password", () => {
  const url = withoutPassword("amqp://ann:hush@a,amqp://ann:hush@b");
  expect(url).toBe("amqp://ann:***@a,amqp://ann:***@b");
  const table = readyTable([
    { name: "ingress", url: "http://x", state: "ready" },
    { name: "broker", url, state: "mine" },
  ]);
  const starts = table
    .split("\n")
    .filter((line) => !line.includes("─"))
    .map((line) => line.search(/URL|http|amqp/));
  expect(new Set(starts).size).toBe(1);
});

test("a service that keeps ending is started again ever more slowly, up to half a minute", () => {
  expect([0, 1, 2, 10].map(restartDelayMs)).toEqual([500, 1000, 2000, 30_000]);
});
