import { WarrenError } from "@warren/contracts";
import { describe, expect, test } from "vitest";
import { createLogger, runWithContext, scrub } from "../src/index.ts";

function capture() {
  const lines: string[] = [];
  const log = createLogger({
    service: "test",
    level: "debug",
    redact: ["iban"],
    destination: { write: (line) => void lines.push(line) },
  });
  const last = (): Record<string, unknown> => JSON.parse(lines.at(-1) ?? "{}") as Record<string, unknown>;
  return { log, lines, last };
}

describe("a log line", () => {
  test("is JSON with time, level as a word, service and message", () => {
    const { log, last } = capture();
    log.info({ queue: "mail", jobs: 3 }, "jobs released");
    expect(last()).toMatchObject({ level: "info", service: "test", queue: "mail", jobs: 3, msg: "jobs released" });
    expect(last()["time"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("names what is of a class, and shows what has no constructor, such as the parameters of a route", () => {
    const { log, last } = capture();
    const params: unknown = Object.create(Object.create(null) as object, { id: { value: "7", enumerable: true } });
    log.info({ params, pool: new Map(), odd: Object.assign(new Map(), { constructor: null }) }, "called");
    expect(last()).toMatchObject({ params: { id: "7" }, pool: "[Map]", odd: "[object]" });
  });

  test("carries the ids of the context it was written in, also across awaits, and none outside", async () => {
    const { log, last } = capture();
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await runWithContext({ correlationId: "c-1", traceparent }, async () => {
      await Promise.resolve();
      log.info("inside");
    });
    expect(last()).toMatchObject({
      correlationId: "c-1",
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
    });
    log.info("outside");
    expect(last()).not.toHaveProperty("correlationId");
  });

  test.for([
    ["payload", { payload: { card: "HIDE" } }],
    ["body", { request: { body: "HIDE" } }],
    ["rawBody", { rawBody: "HIDE" }],
    ["data", { event: { data: { name: "HIDE" } } }],
    ["Authorization", { headers: { Authorization: "HIDE" } }],
    [
      "signature headers",
      { headers: { "x-hub-signature-256": "HIDE", "Stripe-Signature": "HIDE", "webhook-signature": "HIDE" } },
    ],
    ["client_secret deep down", { a: { b: { c: { client_secret: "HIDE" } } } }],
    ["WARREN_SECRET_STRIPE", { WARREN_SECRET_STRIPE: "HIDE" }],
    ["password in a list", { users: [{ password: "HIDE" }] }],
    ["an own name", { iban: "HIDE" }],
    ["cookies", { headers: { cookie: "HIDE", "set-cookie": ["HIDE"] } }],
    ["credentials in a URL", { url: "amqp://HIDE:HIDE@broker/vhost" }],
    ["a bearer token in a text", { note: "sent Bearer HIDEHIDEHIDE" }],
    ["a secret parameter of an address", { url: "https://x.example/hook?a=1&api_key=HIDE", path: "/x?token=HIDE&b=2" }],
    ["Trello's key and token", { note: "GET https://api.trello.com/1/tokens?key=HIDE&token=HIDE failed" }],
    ["a signature in an address", { at: "/hooks?X-Amz-Signature=HIDE&sig=HIDE;sign=HIDE" }],
    ["a token in a path of the Bot API", { url: "https://api.telegram.org/bot123456789:HIDEHIDEHIDE/getMe" }],
    ["a secret that is known by its start", { note: "whsec_HIDEHIDE and sk_live_HIDEHIDE, xoxb-HIDEHIDE" }],
    [
      "signature headers that do not say so",
      { headers: { "x-shopify-hmac-sha256": "HIDE", "x-trello-webhook": "HIDE" } },
    ],
    ["raw headers", { rawHeaders: ["Authorization", "HIDE"] }],
    ["bytes", { chunk: Buffer.from("HIDE") }],
  ])("never shows %s", ([, fields]) => {
    const { log, lines } = capture();
    log.info(fields, "x");
    log.child(fields as Record<string, unknown>).info("x");
    log
      .child({ a: 1 })
      .child(fields as Record<string, unknown>)
      .info("x");
    log.error({ err: new WarrenError("INTERNAL", "x", { details: fields as Record<string, unknown> }) }, "x");
    expect(lines).toHaveLength(4);
    expect(lines.join("")).not.toContain("HIDE");
    expect(lines.join("")).not.toContain(Buffer.from("HIDE").toString("base64"));
  });

  test("shows an error with its code, details and causes, and nothing that a driver hung on it", () => {
    const { log, last, lines } = capture();
    const driver = Object.assign(new Error("duplicate key"), {
      code: "23505",
      detail: "Key (email)=(HIDE) exists",
      client: { password: "HIDE" },
    });
    const error = new WarrenError("INTERNAL", "could not store", { details: { queue: "mail" }, cause: driver });
    log.error({ err: error }, "failed");
    expect(last()["err"]).toMatchObject({
      type: "WarrenError",
      code: "INTERNAL",
      message: "could not store",
      details: { queue: "mail" },
      cause: { code: "23505", message: "duplicate key" },
    });
    expect(lines.join("")).not.toContain("HIDE");
  });

  test("scrubs the message of a lone error, of an error field, and of a text", () => {
    const { log, lines } = capture();
    const error = new Error("connect postgres://HIDE:HIDE@db/x failed");
    log.error(error);
    log.error({ err: error });
    log.error("connect postgres://HIDE:HIDE@db/x failed");
    log.error({ err: error }, "connect %s", "postgres://HIDE:HIDE@db/x");
    expect(lines).toHaveLength(4);
    expect(lines.join("")).not.toContain("HIDE");
    expect(lines.join("")).toContain("@db/x failed");
  });

  test("survives cycles, getters of requests, and errors within errors", () => {
    const { log, last } = capture();
    const cycle: Record<string, unknown> = { n: 1 };
    cycle["self"] = cycle;
    log.info({ cycle, when: new Date(0), map: new Map([["a", 1]]), socket: new AbortController(), big: 5n }, "odd");
    expect(last()).toMatchObject({
      when: "1970-01-01T00:00:00.000Z",
      map: "[Map]",
      socket: "[AbortController]",
      big: "5",
    });
    const error = new Error("loop");
    error.cause = error;
    log.error({ err: new AggregateError([error, new TypeError("two")], "several") }, "x");
    expect(last()["err"]).toMatchObject({ errors: [{ message: "loop" }, { type: "TypeError" }] });
  });

  test("survives objects that do not say what they are, and shows the fields of those that inherit nothing", () => {
    const { log, last } = capture();
    // what the router of Fastify makes for the parameters of a path
    const parameters = Object.assign(Object.create(Object.create(null) as object) as object, {
      name: "shop",
      token: "s3cret",
    });
    class Odd {
      n = 1;
    }
    const odd = Object.assign(new Odd(), { constructor: undefined });
    log.info({ parameters, bare: Object.assign(Object.create(null) as object, { n: 1 }), odd }, "odd");
    expect(last()).toMatchObject({
      parameters: { name: "shop", token: "[redacted]" },
      bare: { n: 1 },
      odd: "[object]",
    });
  });

  test("shows a request by method and path, without its query", () => {
    const { log, last } = capture();
    log.info(
      { req: { method: "GET", url: "/x?token=HIDE", body: "HIDE" }, res: { statusCode: 200, body: "HIDE" } },
      "x",
    );
    expect(last()).toMatchObject({ req: { method: "GET", path: "/x" }, res: { statusCode: 200 } });
    expect(JSON.stringify(last())).not.toContain("HIDE");
  });
});

test("scrub leaves innocent texts alone", () => {
  const innocent = ["https://example.com/a@b", "12:30 basic", "mail to a@b.c", "amqp://broker:5672/x"];
  const parameters = ["/jobs?queue=mail&limit=10", "is this it? a=b", "/x?keyboard=1&monkey=2&monetary=3"];
  for (const text of [...innocent, ...parameters]) expect(scrub(text)).toBe(text);
});

test.for([
  "a",
  "a:",
  "a://",
  "://:",
  "?",
  "?a",
  "?a=",
  "&key",
  "bearer ",
  "bearer  ",
  "whsec_",
  "SG.",
  "bot1",
  "bot123456:",
])("scrub judges a megabyte of %j within a second", (filler) => {
  const text = filler.repeat(Math.ceil(1_048_576 / filler.length));
  const before = process.cpuUsage();
  scrub(text);
  expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
});
