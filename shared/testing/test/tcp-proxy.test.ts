import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startTcpProxy, type TcpProxy, waitFor } from "../src/index.ts";

let proxy: TcpProxy;
const cleanups: (() => void)[] = [];

beforeEach(async () => {
  const echo = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  proxy = await startTcpProxy({ targetPort: (echo.address() as AddressInfo).port });
  cleanups.push(() => echo.close());
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function dial(): Promise<Socket> {
  const socket = connect(proxy.port, "127.0.0.1");
  cleanups.push(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

async function echoed(socket: Socket, text: string): Promise<string> {
  const answer = once(socket, "data");
  socket.write(text);
  return String((await answer)[0]);
}

test("bytes pass, and a closed client is forgotten", async () => {
  const socket = await dial();
  expect(await echoed(socket, "hello")).toBe("hello");
  expect(proxy.connections()).toBe(1);
  socket.end();
  await waitFor(() => proxy.connections() === 0);
});

test("a cut resets the open connections, and new ones are accepted", async () => {
  const socket = await dial();
  await echoed(socket, "a");
  const failure = once(socket, "error");
  proxy.cut();
  expect((await failure)[0]).toMatchObject({ code: "ECONNRESET" });
  expect(await echoed(await dial(), "b")).toBe("b");
});

test("while it refuses nobody gets in, and after healing the same port answers", async () => {
  const socket = await dial();
  socket.on("error", () => undefined);
  await proxy.refuse();
  await expect(dial()).rejects.toMatchObject({ code: "ECONNREFUSED" });
  await proxy.heal();
  expect(await echoed(await dial(), "back")).toBe("back");
});

test("a black hole keeps connections open and silent, and healing delivers what was held back", async () => {
  const socket = await dial();
  await echoed(socket, "before");
  proxy.blackhole();
  let answered = "";
  socket.on("data", (chunk) => {
    answered += String(chunk);
  });
  socket.write("lost?");
  const late = await dial();
  late.write("late?");
  // Silence has no signal to wait for: three round trips past the proxy would have been enough for an answer.
  for (let trip = 0; trip < 3; trip++) await dial();
  expect(answered).toBe("");
  expect(socket.destroyed).toBe(false);
  await proxy.heal();
  await waitFor(() => answered === "lost?");
});

test("a delay holds every chunk back and keeps their order", async () => {
  const socket = await dial();
  proxy.delay(40);
  const started = performance.now();
  let answered = "";
  socket.on("data", (chunk) => {
    answered += String(chunk);
  });
  for (const part of ["1", "2", "3"]) socket.write(part);
  await waitFor(() => answered === "123");
  expect(performance.now() - started).toBeGreaterThanOrEqual(79);
});
