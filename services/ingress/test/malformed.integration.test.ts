import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createWorld, type World } from "@warren/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { githubHeaders, jobsOf, prepare, type RunningIngress, requestsOf, startIngress } from "./fixture.ts";
import { say } from "./raw-http.ts";

let world: World;
let running: RunningIngress;
beforeAll(async () => {
  world = await createWorld();
  await prepare(world);
  running = await startIngress(world);
});
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

let deliveries = 0;

interface Parts {
  readonly line?: string;
  readonly host?: string;
  /** Header lines beside those that GitHub sends, with their line ends. */
  readonly more?: string;
  readonly framing?: string;
  readonly payload?: string;
}

/** An authentic webhook, up to what is changed. */
function authentic(parts: Parts = {}): string {
  const { line = "POST /webhooks/github HTTP/1.1", host = "Host: x\r\n", more = "" } = parts;
  const { framing = "Content-Length: 2\r\n", payload = "{}" } = parts;
  deliveries += 1;
  const signed = Object.entries(githubHeaders("{}", `m-${deliveries}`)).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line}\r\n${host}${signed.join("")}${more}${framing}\r\n${payload}`;
}

const chunked = "Transfer-Encoding: chunked\r\n";
const inChunks = "2\r\n{}\r\n0\r\n\r\n";

async function acceptedKeys(): Promise<readonly unknown[]> {
  const requests = await requestsOf(running);
  return requests.filter(({ status }) => status === "accepted").map((request) => request["dedupe_key"]);
}

describe("taken is, exactly once, an authentic webhook", () => {
  test.for<[string, string, { readonly halfClose?: boolean }?]>([
    ["with a length", authentic()],
    ["in chunks", authentic({ framing: chunked, payload: inChunks })],
    [
      "in chunks with extensions and trailers",
      authentic({ framing: chunked, payload: "2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n" }),
    ],
    ["in HTTP/1.0, without a host", authentic({ line: "POST /webhooks/github HTTP/1.0", host: "" })],
    ["to an address with scheme and host", authentic({ line: "POST http://h.example/webhooks/github?a=1 HTTP/1.1" })],
    ["after empty lines", `\r\n\r\n${authentic()}`],
    ["that wants to be told to go on", authentic({ more: "Expect: 100-continue\r\n" })],
    ["that would rather speak HTTP/2", authentic({ more: "Connection: Upgrade\r\nUpgrade: h2c\r\n" })],
    ["that says that it is not compressed", authentic({ more: "Content-Encoding: identity\r\n" })],
    ["whose sender has closed its half of the connection", authentic(), { halfClose: true }],
  ])("%s", async ([, bytes, options]) => {
    const before = await acceptedKeys();
    const { statuses } = await say(running.port, bytes, options);
    expect(statuses).toEqual([202]);
    expect(await acceptedKeys()).toHaveLength(before.length + 1);
  });

  test("and its address is kept, and signed, without scheme and host", async () => {
    const kept = (await requestsOf(running)).find(({ query }) => query === "a=1");
    expect(kept?.["path"]).toBe("/webhooks/github");
  });
});

const zero = "\u0000";

describe("refused is, though it is signed, what", () => {
  test.for<[string, string, number]>([
    ["has a length and chunks", authentic({ framing: `Content-Length: 2\r\n${chunked}`, payload: inChunks }), 400],
    ["has chunks and a length", authentic({ framing: `${chunked}Content-Length: 2\r\n`, payload: inChunks }), 400],
    ["has two lengths", authentic({ framing: "Content-Length: 2\r\nContent-Length: 2\r\n" }), 400],
    ["has a list of lengths", authentic({ framing: "Content-Length: 2, 2\r\n" }), 400],
    ["has a signed length", authentic({ framing: "Content-Length: +2\r\n" }), 400],
    ["has an empty length", authentic({ framing: "Content-Length: \r\n" }), 400],
    ["has an endless length", authentic({ framing: "Content-Length: 99999999999999999999999\r\n" }), 400],
    ["has a length beyond all memory", authentic({ framing: "Content-Length: 9223372036854775807\r\n" }), 413],
    ["folds a header over two lines", authentic({ more: "X-A: b\r\n c\r\n" }), 400],
    ["ends a line with LF alone", authentic({ more: "X-A: b\n" }), 400],
    ["ends a line with CR alone", authentic({ more: "X-A: b\rX-B: c\r\n" }), 400],
    ["has a blank before a colon", authentic({ framing: "Content-Length : 2\r\n" }), 400],
    ["has U+0000 in a header", authentic({ more: `X-A: a${zero}b\r\n` }), 400],
    ["has U+0000 in its address", authentic({ line: `POST /webhooks/github${zero} HTTP/1.1` }), 400],
    ["compresses under way", authentic({ framing: "Transfer-Encoding: gzip, chunked\r\n", payload: inChunks }), 415],
    [
      "is compressed in the end",
      authentic({ framing: "Transfer-Encoding: chunked, gzip\r\n", payload: inChunks }),
      400,
    ],
    ["is chunked twice", authentic({ framing: chunked + chunked, payload: inChunks }), 400],
    ["has an unknown coding", authentic({ framing: "Transfer-Encoding: xchunked\r\n", payload: inChunks }), 400],
    ["claims no coding", authentic({ framing: "Transfer-Encoding: identity\r\nContent-Length: 2\r\n" }), 400],
    ["is compressed", authentic({ more: "Content-Encoding: gzip\r\n" }), 415],
    [
      "is compressed behind identity",
      authentic({ more: "Content-Encoding: identity\r\nContent-Encoding: br\r\n" }),
      415,
    ],
    [
      "has chunks in HTTP/1.0",
      authentic({ line: "POST /webhooks/github HTTP/1.0", framing: chunked, payload: inChunks }),
      400,
    ],
    ["calls itself HTTP/2.0", authentic({ line: "POST /webhooks/github HTTP/2.0" }), 400],
    ["calls itself HTTP/1.2", authentic({ line: "POST /webhooks/github HTTP/1.2" }), 400],
    ["names two hosts", authentic({ host: "Host: a\r\nhOST: b\r\n" }), 400],
    ["names no host", authentic({ host: "" }), 400],
    ["has 201 headers", authentic({ more: "a: b\r\n".repeat(201) }), 431],
    ["has more headers than Node looks at", authentic({ more: "a:\r\n".repeat(2_100) }), 431],
    ["has 16 KB of one header", authentic({ more: `X-A: ${"b".repeat(16_384)}\r\n` }), 431],
    ["has 16 KB of address", authentic({ line: `POST /webhooks/github?${"b".repeat(16_384)} HTTP/1.1` }), 431],
    [
      "has 20 KB of trailers",
      authentic({ framing: chunked, payload: `2\r\n{}\r\n0\r\nX: ${"b".repeat(20_000)}\r\n\r\n` }),
      431,
    ],
    [
      "has 20 KB of chunk extension",
      authentic({ framing: chunked, payload: `2;${"b".repeat(20_000)}\r\n{}\r\n0\r\n\r\n` }),
      400,
    ],
    [
      "has a chunk of all sizes",
      authentic({ framing: chunked, payload: "ffffffffffffffffffff\r\n{}\r\n0\r\n\r\n" }),
      400,
    ],
    ["has a chunk with a prefixed size", authentic({ framing: chunked, payload: "0x2\r\n{}\r\n0\r\n\r\n" }), 400],
    ["has a chunk that runs over", authentic({ framing: chunked, payload: "2\r\n{}0\r\n\r\n" }), 400],
    ["expects the impossible", authentic({ more: "Expect: 200-ok\r\n" }), 417],
    ["asks for everything", authentic({ line: "POST * HTTP/1.1" }), 404],
    ["hides its path behind a query", authentic({ line: "POST http://h.example?x=/webhooks/github HTTP/1.1" }), 404],
    ["is meant for another scheme", authentic({ line: "POST ftp://h.example/webhooks/github HTTP/1.1" }), 404],
    ["is a method in small letters", authentic({ line: "post /webhooks/github HTTP/1.1" }), 400],
    ["is TLS", "\u0016\u0003\u0001\u0000\u00c8\u0001\u0000\u0000\u00c4\u0003\u0003", 400],
    ["is the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
  ])("%s", async ([, bytes, status]) => {
    const before = await acceptedKeys();
    const { statuses } = await say(running.port, bytes);
    expect(statuses[0]).toBe(status);
    expect(await acceptedKeys()).toEqual(before);
  });

  test("asks for a tunnel: it gets none, and no answer", async () => {
    expect(await say(running.port, "CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")).toMatchObject({
      closed: true,
      text: "",
    });
  });
});

test("no answer shows an address back, which may hold a secret", async () => {
  for (const path of ["/webhooks/%ZZ?token=HIDE", "/HIDE", "/webhooks/HIDE%2"]) {
    const { statuses, text } = await say(running.port, `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
    expect([400, 404]).toContain(statuses[0]);
    expect(text).not.toContain("HIDE");
  }
});

test("requests on one connection are answered one after the other, and what hides behind a length is a request of its own", async () => {
  const hidden = authentic({ line: "POST /webhooks/nobody HTTP/1.1" });
  const { statuses } = await say(running.port, authentic() + authentic() + hidden + authentic(), { answers: 4 });
  expect(statuses).toEqual([202, 202, 404, 202]);
});

test("webhooks that were kept are answered so, though their sender goes on with garbage", async () => {
  const before = await acceptedKeys();
  const { statuses, closed } = await say(running.port, `${authentic()}${authentic()}GARBAGE\r\n\r\n`, { answers: 3 });
  expect(statuses).toEqual([202, 202, 400]);
  expect(closed).toBe(true);
  expect(await acceptedKeys()).toHaveLength(before.length + 2);
});

test("a request to nobody that says nonsense of its type is nobody's, and no failure of ours", async () => {
  const nonsense = "POST /webhooks/nobody HTTP/1.1\r\nHost: x\r\nContent-Type: ;;;\r\nContent-Length: 2\r\n\r\n{}";
  const { statuses, text } = await say(running.port, nonsense);
  expect([statuses, text.includes("WEBHOOK_SOURCE_UNKNOWN")]).toEqual([[404], true]);
});

test("a webhook that comes after its connection was told that it is too late is not kept", async () => {
  const before = await acceptedKeys();
  const { server } = running.ingress.app;
  const connected = once(server, "connection") as Promise<[Socket]>;
  const sender = connect({ port: running.port, host: "127.0.0.1", allowHalfOpen: true });
  const [socket] = await connected;
  const told = once(sender, "data");
  server.emit("clientError", Object.assign(new Error("late"), { code: "ERR_HTTP_REQUEST_TIMEOUT" }), socket);
  expect(String(await told)).toMatch(/^HTTP\/1\.1 408 /);
  sender.on("error", () => undefined).write(authentic());
  // said later, answered: the one before has been read, if at all
  expect((await say(running.port, authentic())).statuses).toEqual([202]);
  sender.destroy();
  expect(await acceptedKeys()).toHaveLength(before.length + 1);
});

test("nothing that was refused has made a job", async () => {
  expect(await jobsOf(running)).toHaveLength((await acceptedKeys()).length);
});
