import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createWorld, type ServiceProcess, spawnService, type World, waitFor } from "@warren/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { githubHeaders, post, prepare } from "./fixture.ts";
import { openMany, say } from "./raw-http.ts";
import { githubSecret } from "./signed.ts";

const mebibyte = 1_048_576;

let world: World;
let service: ServiceProcess;
beforeAll(async () => {
  world = await createWorld();
  await prepare(world);
  service = await spawnService({
    entry: "services/ingress/src/main.ts",
    env: {
      DATABASE_URL: world.databaseUrl,
      WARREN_SCHEMA: world.schema,
      AMQP_URL: world.amqpUrl,
      WARREN_SOURCE_GITHUB: "github",
      WARREN_SOURCE_GITHUB_SECRET: githubSecret,
      WARREN_MAX_IN_FLIGHT: "50",
      WARREN_MAX_CONNECTIONS_PER_ADDRESS: "1100",
    },
  });
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const port = (): number => Number(new URL(service.url).port);
const accept = (id: string) => post(service, "github", githubHeaders("{}", id), "{}");
const start = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  const values = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

test("a thousand connections that trickle take little memory, and no webhook is refused for them", async () => {
  for (let at = 0; at < 20; at += 1) await accept(`warm-${at}`);
  const before = await metric("process_resident_memory_bytes");
  const sockets = [
    ...(await openMany(port(), 300, "")),
    ...(await openMany(port(), 300, start)),
    ...(await openMany(port(), 400, `${start}Content-Length: 1000000\r\n\r\n{`)),
  ];
  const answers = await Promise.all(Array.from({ length: 40 }, (_, at) => accept(`slow-${at}`)));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
  const grownMiB = ((await metric("process_resident_memory_bytes")) - before) / mebibyte;
  expect(grownMiB).toBeLessThan(60);
  for (const socket of sockets) socket.destroy();
});

test("the connections of one address are bounded, and free again when they end", async () => {
  const sockets = await openMany(port(), 1_150, "");
  await waitFor(() => sockets.filter(({ destroyed }) => destroyed).length >= 50, { what: "refused connections" });
  for (const socket of sockets) socket.destroy();
  await waitFor(
    () =>
      accept("after").then(
        ({ status }) => status === 202,
        () => false,
      ),
    {
      what: "room for a connection",
    },
  );
  expect(await metric("warren_http_connections_refused_total")).toBeGreaterThanOrEqual(50);
  // a line every ten seconds
  const told = service.logs().filter((line) => line.includes("too many connections"));
  expect([told.length > 0, told.length < 10]).toEqual([true, true]);
});

test("a body in chunks of one byte each takes the memory of its bytes", async () => {
  const before = await metric("process_resident_memory_bytes");
  const bodies = 4;
  const sockets = await openMany(port(), bodies, `${start}Transfer-Encoding: chunked\r\n\r\n`);
  const part = Buffer.from("1\r\nx\r\n".repeat(8_192));
  for (let sent = 0; sent < 500_000; sent += 8_192) {
    for (const socket of sockets) if (!socket.write(part)) await once(socket, "drain");
  }
  const grownMiB = ((await metric("process_resident_memory_bytes")) - before) / mebibyte;
  // as Buffers of their own they would take 500 bytes each: a gigabyte
  expect(grownMiB).toBeLessThan(200);
  for (const socket of sockets) socket.destroy();
});

test("a sender that takes no answers holds nothing up", async () => {
  const socket = connect(port(), "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.pause();
  const pipelined = `${start}Content-Length: 2\r\n\r\n{}`.repeat(2_000);
  socket.write(pipelined);
  await sleep(100);
  expect((await say(port(), `${start}Content-Length: 2\r\n\r\n{}`, { timeoutMs: 30_000 })).statuses).toEqual([401]);
  socket.destroy();
});
