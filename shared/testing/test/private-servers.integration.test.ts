import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Client } from "pg";
import { expect, test } from "vitest";
import { accepts, findRabbit, Management, startPrivateBroker, startPrivateDatabase, waitFor } from "../src/index.ts";

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

test("a private broker keeps its vhosts over kill -9 and restart, at the same address", {
  timeout: 90_000,
}, async () => {
  await using broker = await startPrivateBroker();
  const management = new Management(broker.managementUrl);
  await management.createVhost("kept");
  await broker.kill();
  await expect(management.version()).rejects.toThrow("fetch failed");
  await broker.start();
  expect(await management.request("GET", "/vhosts/kept")).toMatchObject({ name: "kept" });
  expect(await accepts(broker.amqpPort)).toBe(true);

  await broker.memoryAlarm(true);
  const alarms = (): Promise<unknown> => management.request("GET", "/health/checks/local-alarms");
  await waitFor(
    () =>
      alarms().then(
        () => false,
        (error: Error) => error.message.includes("503"),
      ),
    { what: "the memory alarm" },
  );
  await broker.memoryAlarm(false);
  await waitFor(alarms, { what: "the alarm to be cleared" });
});

test("a private database keeps what was committed over kill -9 and restart, at the same address", async () => {
  await using database = await startPrivateDatabase();
  await query(database.url, "create table kept as select 7 as n");
  await database.kill();
  await expect(query(database.url, "select 1")).rejects.toThrow("ECONNREFUSED");
  await database.start();
  expect(await query(database.url, "select n from kept")).toEqual([{ n: 7 }]);
  await database.restart();
  expect(await query(database.url, "select n from kept")).toEqual([{ n: 7 }]);
});

test("servers of a process that is killed with SIGKILL die with it", { timeout: 60_000 }, async (context) => {
  if (findRabbit() === undefined) context.skip("RabbitMQ is not installed on this machine");
  const owner = spawn(process.execPath, [new URL("fixtures/owner-of-servers.ts", import.meta.url).pathname], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(createInterface({ input: owner.stdout }), "line");
  const { folder, ports, processes } = JSON.parse(String(line)) as {
    folder: string;
    ports: number[];
    processes: number[];
  };
  expect(await Promise.all(ports.map(accepts))).toEqual([true, true]);
  owner.kill("SIGKILL");
  await waitFor(() => processes.every((pid) => !alive(pid)), { what: "the servers to die" });
  expect(await Promise.all(ports.map(accepts))).toEqual([false, false]);
  await rm(folder, { recursive: true });
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
