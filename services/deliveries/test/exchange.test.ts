import type { LookupAddress, lookup } from "node:dns";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { Agent } from "undici";
import { describe, expect, test } from "vitest";
import { createAddressGuard } from "../src/address.ts";
import { type ConnectorOptions, createConnector } from "../src/connect.ts";
import { exchange } from "../src/exchange.ts";
import certificates from "./fixtures/certificates.json" with { type: "json" };
import { type Receiver, silence, startReceiver, status } from "./receiver.ts";

const local = createAddressGuard(["127.0.0.0/8"]);

async function post(
  url: string,
  given: Partial<ConnectorOptions> & { readonly timeoutMs?: number; readonly maxResponseBytes?: number } = {},
) {
  const { timeoutMs = 2_000, maxResponseBytes = 1_000, ...connector } = given;
  const reached: string[] = [];
  const dispatcher = new Agent({
    connect: createConnector({
      guard: local,
      localAddress: null,
      proxyUrl: null,
      clientCertificate: null,
      timeoutMs,
      onConnected: (address) => reached.push(address),
      ...connector,
    }),
  });
  try {
    const signal = new AbortController().signal;
    const headers = { "content-type": "application/json" };
    return {
      reached,
      ...(await exchange({ dispatcher, url, headers, body: "{}", timeoutMs, maxResponseBytes, signal })),
    };
  } finally {
    await dispatcher.destroy();
  }
}

/** A resolver that answers these, and counts. */
function resolver(answers: readonly (readonly string[])[]) {
  let calls = 0;
  const resolve = (_host: string, _options: unknown, callback: (error: null, found: LookupAddress[]) => void) => {
    const found = answers[Math.min(calls, answers.length - 1)] ?? [];
    calls += 1;
    callback(
      null,
      found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
  };
  return { resolve: resolve as unknown as typeof lookup, calls: () => calls };
}

const named = ({ url }: Receiver, host: string) => url.replace("127.0.0.1", host);

describe("a name", () => {
  test("that resolves to what is not public is refused without a connection", async () => {
    await using receiver = await startReceiver();
    const { resolve } = resolver([["127.0.0.1"]]);
    const answer = await post(named(receiver, "rebound.example"), { guard: createAddressGuard([]), resolve });
    expect(answer).toMatchObject({
      kind: "unanswered",
      reason: "ENDPOINT_ADDRESS_REFUSED",
      detail: "deliveries may not go to rebound.example (127.0.0.1)",
    });
    expect(receiver.received).toEqual([]);
  });

  test("is resolved once, where it is connected to: a second answer comes too late to be used", async () => {
    await using receiver = await startReceiver();
    const { resolve, calls } = resolver([["127.0.0.1"], ["10.0.0.1"]]);
    expect(await post(named(receiver, "hooks.example"), { resolve })).toMatchObject({
      status: 204,
      reached: ["127.0.0.1"],
    });
    expect(calls()).toBe(1);
  });

  test("of which some addresses are not public is reached by the others", async () => {
    await using receiver = await startReceiver();
    const { resolve } = resolver([["10.0.0.1", "169.254.169.254", "127.0.0.1"]]);
    expect(await post(named(receiver, "mixed.example"), { resolve })).toMatchObject({ reached: ["127.0.0.1"] });
  });

  test("that does not resolve is unreachable", async () => {
    expect(await post("http://no-such-host.invalid/")).toMatchObject({ reason: "DELIVERY_UNREACHABLE" });
  });
});

test.for(["127.0.0.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])(
  "a URL with the address %s is refused without a look-up",
  async (host) => {
    await using receiver = await startReceiver();
    const answer = await post(named(receiver, host), { guard: createAddressGuard([]) });
    expect(answer).toMatchObject({ reason: "ENDPOINT_ADDRESS_REFUSED" });
    expect(receiver.received).toEqual([]);
  },
);

describe("an answer", () => {
  test("is kept up to the limit, and the connection of a longer one is cut", async () => {
    await using receiver = await startReceiver();
    receiver.answer((_request, response) => {
      response.writeHead(200);
      const more = () => {
        if (!response.destroyed) response.write("x".repeat(10_000), more);
      };
      more();
    });
    const answer = await post(receiver.url);
    expect(answer).toMatchObject({ kind: "answered", status: 200, truncated: true });
    expect(answer.kind === "answered" && answer.body.length).toBe(1_000);
  });

  test("that never comes, or drips, ends with the time", async () => {
    await using receiver = await startReceiver();
    receiver.answer(silence);
    expect(await post(receiver.url, { timeoutMs: 150 })).toMatchObject({ reason: "DELIVERY_TIMEOUT" });
    receiver.answer((_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write("."), 20);
      response.on("close", () => clearInterval(timer));
    });
    const dripped = await post(receiver.url, { timeoutMs: 150 });
    expect(dripped).toMatchObject({ reason: "DELIVERY_TIMEOUT" });
  });

  test("of another protocol, or none, is unreachable and says why", async () => {
    await using server = await tcpServer((socket) => socket.end("SSH-2.0-OpenSSH_9.9\r\n"));
    expect(await post(server.url)).toMatchObject({ reason: "DELIVERY_UNREACHABLE" });
    await using closing = await tcpServer((socket) => socket.destroy());
    const answer = await post(closing.url);
    expect(answer).toMatchObject({ reason: "DELIVERY_UNREACHABLE", detail: expect.stringMatching(/\S/) });
  });
});

describe("a proxy", () => {
  test("tunnels to the address that was judged, with its credentials", async () => {
    await using receiver = await startReceiver();
    await using proxy = await startProxy("Basic c2hvcDpzZXNhbWU=");
    const { resolve } = resolver([["127.0.0.1"]]);
    const proxyUrl = proxy.url.replace("http://", "http://shop:sesame@");
    expect(await post(named(receiver, "hooks.example"), { proxyUrl, resolve })).toMatchObject({ status: 204 });
    expect(proxy.targets).toEqual([new URL(receiver.url).host]);
    expect(receiver.received[0]?.headers["host"]).toBe(`hooks.example:${new URL(receiver.url).port}`);
  });

  test("does not lead around the guard, and may refuse", async () => {
    await using receiver = await startReceiver();
    await using proxy = await startProxy("Basic nobody");
    const { resolve } = resolver([["127.0.0.1"]]);
    const guard = createAddressGuard([]);
    expect(await post(named(receiver, "inside.example"), { proxyUrl: proxy.url, resolve, guard })).toMatchObject({
      reason: "ENDPOINT_ADDRESS_REFUSED",
    });
    expect(await post(receiver.url, { proxyUrl: proxy.url })).toMatchObject({
      reason: "DELIVERY_UNREACHABLE",
      detail: "the proxy refused the tunnel: HTTP/1.1 407 No",
    });
    expect(receiver.received).toEqual([]);
  });
});

describe("mutual TLS", () => {
  test("shows the endpoint's client certificate, and wants a server of its authority", async () => {
    await using server = await startTlsServer();
    const clientCertificate = { ...certificates.client, authority: certificates.authority };
    expect(await post(server.url, { clientCertificate })).toMatchObject({ kind: "answered", status: 200 });
    expect(server.clients).toEqual(["client"]);
    // through a tunnel as well
    await using proxy = await startProxy(undefined);
    expect(await post(server.url, { clientCertificate, proxyUrl: proxy.url })).toMatchObject({ status: 200 });
    expect(server.clients).toEqual(["client", "client"]);
  });

  test("fails without the certificate, or with a server that nobody vouches for", async () => {
    await using server = await startTlsServer();
    expect(await post(server.url, { clientCertificate: certificates.client })).toMatchObject({
      reason: "DELIVERY_UNREACHABLE",
      detail: expect.stringContaining("certificate"),
    });
    expect(await post(server.url)).toMatchObject({ reason: "DELIVERY_UNREACHABLE" });
    expect(server.clients).toEqual([]);
  });
});

test("connections leave from the endpoint's local address", async () => {
  await using receiver = await startReceiver();
  const seen: (string | undefined)[] = [];
  receiver.answer((request, response) => {
    seen.push(response.socket?.remoteAddress);
    status(200)(request, response);
  });
  await post(receiver.url, { localAddress: "127.0.0.2" });
  expect(seen).toEqual(["127.0.0.2"]);
});

async function tcpServer(onConnection: (socket: Socket) => void): Promise<AsyncDisposable & { readonly url: string }> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function startTlsServer(): Promise<
  AsyncDisposable & { readonly url: string; readonly clients: readonly string[] }
> {
  const clients: string[] = [];
  const { authority, server: own } = certificates;
  const server = createHttpsServer(
    { cert: own.certificate, key: own.key, ca: authority, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      clients.push(String((request.socket as TLSSocket).getPeerCertificate().subject.CN));
      request.resume().on("end", () => response.end("ok"));
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    clients,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function startProxy(
  authorization: string | undefined,
): Promise<AsyncDisposable & { readonly url: string; readonly targets: readonly string[] }> {
  const targets: string[] = [];
  const server = createHttpServer();
  const sockets = new Set<Socket>();
  server.on("connect", (request, socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    if (request.headers["proxy-authorization"] !== authorization) return socket.end("HTTP/1.1 407 No\r\n\r\n");
    targets.push(request.url ?? "");
    const { hostname, port } = new URL(`http://${request.url}`);
    const onward = connect(Number(port), hostname, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
    return undefined;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    targets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
