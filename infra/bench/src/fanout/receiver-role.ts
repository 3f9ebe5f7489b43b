import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { serveRole } from "../role.ts";

/** Everybody's endpoint, `/<number>` each: counts what came of the event under way, by endpoint. */
const times = new Map<string, number>();
let lastAt = 0;

const server = createServer((request, response) => {
  request.resume().on("end", () => {
    const path = request.url ?? "";
    times.set(path, (times.get(path) ?? 0) + 1);
    lastAt = Date.now();
    response.writeHead(204).end();
  });
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 });
await once(server, "listening");

serveRole(async ({ do: verb }) => {
  if (verb === "listen") return { port: (server.address() as AddressInfo).port };
  if (verb === "reset") {
    times.clear();
    return {};
  }
  const all = [...times.values()];
  return { unique: times.size, doubled: all.reduce((sum, count) => sum + count - 1, 0), lastAt };
});
