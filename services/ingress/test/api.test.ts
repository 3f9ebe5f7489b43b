import type { AddressInfo } from "node:net";
import { apiScopes, opens, pageOf, pageQuery, problem, WarrenError } from "@warren/contracts";
import { createLogger } from "@warren/observability";
import type { FastifyInstance } from "fastify";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { readCursor, writeCursor } from "../src/api/cursor.ts";
import { keyCheck } from "../src/api/keys.ts";
import { openApiOf } from "../src/api/openapi.ts";
import { answer, defineRoute, empty, json } from "../src/api/route.ts";
import { createApi } from "../src/api/server.ts";
import { ingressConfig } from "../src/config.ts";
import { say } from "./raw-http.ts";

const key = "0123456789abcdef0123456789";
const dashboard = "dashboard-0123456789abcdef";
const ci = "ci-0123456789abcdef012345";
const thing = z.object({ name: z.string(), size: z.int().default(1) }).meta({ id: "Thing" });
const named = z.strictObject({ name: z.string().regex(/^[a-z]+$/, "expected small letters") });

const routes = [
  defineRoute({
    method: "get",
    path: "/things",
    id: "listThings",
    scope: "sources.read",
    tag: "things",
    summary: "All things",
    query: pageQuery,
    answers: { 200: json(pageOf(thing), "a page") },
    errors: { API_CURSOR_INVALID: 400 },
    handle: ({ query }) => {
      const after = readCursor(z.string(), query.cursor);
      return answer(200, { items: [{ name: `after ${after}`, size: query.limit }], nextCursor: null });
    },
  }),
  defineRoute({
    method: "post",
    path: "/things",
    id: "createThing",
    scope: "sources.write",
    tag: "things",
    summary: "A new thing",
    body: thing,
    answers: { 201: json(thing, "made") },
    errors: { WEBHOOK_SOURCE_UNKNOWN: 409 },
    handle: ({ body, caller }) => {
      if (body.name === "taken") throw new WarrenError("WEBHOOK_SOURCE_UNKNOWN", "it is taken");
      if (body.name === "away")
        throw new WarrenError("LEDGER_UNAVAILABLE", "the database is away", { retryable: true });
      if (body.name === "crash") throw new Error("with a secret");
      const made = { name: body.name, size: body.size, secret: "leaked" };
      return answer(201, made, { "x-caller": caller.key });
    },
  }),
  defineRoute({
    method: "delete",
    path: "/things/{name}",
    id: "deleteThing",
    scope: "sources.write",
    tag: "things",
    summary: "Gone",
    params: named,
    answers: { 204: empty("gone") },
    handle: () => answer(204),
  }),
];

const lines: string[] = [];
let app: FastifyInstance | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

function api(): FastifyInstance {
  app ??= createApi({
    keys: ["another-key-of-enough-length", key, `dashboard:*.read:${dashboard}`, `ci:rules.write:${ci}`],
    routes,
    newId: () => "id-1",
    log: createLogger({ service: "api-test", level: "info", destination: { write: (line) => lines.push(line) } }),
  });
  return app;
}

async function call(method: "GET" | "POST" | "PUT" | "DELETE", url: string, payload?: object | string) {
  const type = payload instanceof Buffer ? "text/csv" : "application/json";
  const answer = await api().inject({
    method,
    url,
    headers: { authorization: `Bearer ${key}`, ...(payload === undefined ? {} : { "content-type": type }) },
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: answer.statusCode, headers: answer.headers, body: answer.body === "" ? undefined : answer.json() };
}

const as = (token: string, method: "GET" | "POST" | "PUT", url: string) =>
  api().inject({ method, url, headers: { authorization: `Bearer ${token}` } });

const parse = (keys: string) => ingressConfig.safeParse({ WARREN_API_KEYS: keys });

describe("keys", () => {
  test("any key opens, nothing else does, and a caller is known by name or fingerprint", () => {
    const check = keyCheck(["first-key-of-enough-length", key, `ci:sources.write+*.read:${"k:".repeat(12)}`]);
    expect(check(`Bearer ${key}`)).toEqual({ key: expect.stringMatching(/^[0-9a-f]{8}$/), scopes: ["*"] });
    expect(check(`Bearer ${"k:".repeat(12)}`)).toEqual({ key: "ci", scopes: ["sources.write", "*.read"] });
    expect(check(`bearer ${key}`)).toBe(check(`Bearer ${key}`));
    const none = [undefined, "", key, "Bearer", "Bearer ", `Bearer ${key}x`, `Basic ${key}`, `Bearer ${key} ${key}`];
    expect(none.filter((header) => check(header) !== undefined)).toEqual([]);
    expect(keyCheck([])(`Bearer ${key}`)).toBeUndefined();
  });

  test("short keys are refused by the settings, and lists are split", () => {
    expect(parse("too-short").success).toBe(false);
    expect(parse(`${key}, another-key-of-enough-length`).data?.WARREN_API_KEYS).toEqual([
      key,
      "another-key-of-enough-length",
    ]);
    expect(parse("").data?.WARREN_API_KEYS).toEqual([]);
    expect(parse(`${key}\nci:sources.read+requests.write:${key}x`).success).toBe(true);
  });

  test.for([
    ["a scope that is none", `ci:source.read:${key}`],
    ["a verb that is none", `ci:sources.delete:${key}`],
    ["no scope", `ci::${key}`],
    ["no key", "ci:*:"],
    ["no name", `:*:${key}`],
    ["a short key", "ci:*:short"],
    ["one key twice", `ci:*.read:${key},${key}`],
    ["a name and a key", `ci:${key}`],
  ])("%s is refused by the settings", ([, keys = ""]) => {
    expect(parse(keys).success).toBe(false);
  });

  test("without a key everything is 401, also what does not exist; the description is open", async () => {
    for (const url of ["/api/v1/things", "/api/v1/nothing", "/"]) {
      const answer = await api().inject({ url });
      expect([url, answer.statusCode, answer.json().code]).toEqual([url, 401, "API_KEY_INVALID"]);
      expect(answer.headers["www-authenticate"]).toContain("Bearer");
    }
    expect((await api().inject({ url: "/api/v1/openapi.json" })).json().openapi).toBe("3.1.0");
  });
});

describe("scopes", () => {
  test("a key opens what its scopes say; 403 names what is missing, before the body is looked at", async () => {
    expect((await as(dashboard, "GET", "/api/v1/things")).statusCode).toBe(200);
    for (const [token, method, scope, has] of [
      [dashboard, "POST", "sources.write", "the key dashboard has *.read"],
      [ci, "GET", "sources.read", "the key ci has rules.write"],
    ] as const) {
      const answer = await as(token, method, "/api/v1/things");
      expect(problem.parse(answer.json())).toMatchObject({
        status: 403,
        code: "API_SCOPE_MISSING",
        detail: `this needs the scope ${scope}; ${has}`,
      });
      expect(answer.headers["www-authenticate"]).toContain(`error="insufficient_scope", scope="${scope}"`);
    }
    const { operation, scope, key: who } = JSON.parse(lines.at(-1) ?? "");
    expect({ operation, scope, who }).toEqual({ operation: "listThings", scope: "sources.read", who: "ci" });
    expect((await as(ci, "GET", "/api/v1/nothing")).statusCode).toBe(404);
    expect((await as(ci, "PUT", "/api/v1/things")).statusCode).toBe(405);
  });

  test.for([
    [["*"], apiScopes],
    [["*.write"], apiScopes],
    [["*.read"], apiScopes.filter((scope) => scope.endsWith(".read"))],
    [["rules.write"], ["rules.read", "rules.write"]],
    [
      ["rules.read", "deliveries.read"],
      ["rules.read", "deliveries.read"],
    ],
    [[], []],
  ] as const)("%j opens %j", ([granted, opened]) => {
    expect(apiScopes.filter((scope) => opens(granted, scope))).toEqual(opened);
  });
});

describe("calls", () => {
  test("get defaults, coerced queries and cursors", async () => {
    expect((await call("GET", "/api/v1/things")).body.items[0]).toEqual({ name: "after undefined", size: 50 });
    const answer = await call("GET", `/api/v1/things?limit=7&cursor=${writeCursor("b")}`);
    expect(answer.body.items[0]).toEqual({ name: "after b", size: 7 });
  });

  test("answers hold what the schema names and nothing else", async () => {
    const answer = await call("POST", "/api/v1/things", { name: "box" });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({ name: "box", size: 1 });
    expect(answer.headers["x-caller"]).toMatch(/^[0-9a-f]{8}$/);
    expect(answer.headers["x-correlation-id"]).toBe("id-1");
    expect(await call("DELETE", "/api/v1/things/box")).toMatchObject({ status: 204, body: undefined });
    const { operation, params, status } = JSON.parse(lines.at(-1) ?? "");
    expect({ operation, params, status }).toEqual({ operation: "deleteThing", params: { name: "box" }, status: 204 });
    expect(lines.join("")).not.toContain(key);
  });

  test.for([
    ["an unknown query", "GET", "/api/v1/things?limt=1", undefined, 400, "API_REQUEST_INVALID"],
    ["a limit of 0", "GET", "/api/v1/things?limit=0", undefined, 400, "API_REQUEST_INVALID"],
    ["a cursor of somebody else", "GET", "/api/v1/things?cursor=%21", undefined, 400, "API_CURSOR_INVALID"],
    ["no body", "POST", "/api/v1/things", undefined, 400, "API_REQUEST_INVALID"],
    ["a body that is no JSON", "POST", "/api/v1/things", "{", 400, "API_REQUEST_INVALID"],
    ["an empty body where one is needed", "POST", "/api/v1/things", "", 400, "API_REQUEST_INVALID"],
    ["a body that would poison", "POST", "/api/v1/things", '{"__proto__":{}}', 400, "API_REQUEST_INVALID"],
    ["a body too large", "POST", "/api/v1/things", `"${"x".repeat(1_048_576)}"`, 413, "API_BODY_TOO_LARGE"],
    ["a wrong path parameter", "DELETE", "/api/v1/things/BOX", undefined, 400, "API_REQUEST_INVALID"],
    [
      "a body that is no JSON by its type",
      "POST",
      "/api/v1/things",
      Buffer.from("a"),
      415,
      "API_CONTENT_TYPE_UNSUPPORTED",
    ],
    ["a path that is not there", "GET", "/api/v1/thing", undefined, 404, "HTTP_NOT_FOUND"],
    ["a method that is not there", "PUT", "/api/v1/things", undefined, 405, "API_METHOD_NOT_ALLOWED"],
    ["an error that the route declares", "POST", "/api/v1/things", { name: "taken" }, 409, "WEBHOOK_SOURCE_UNKNOWN"],
    ["a database that is away", "POST", "/api/v1/things", { name: "away" }, 503, "LEDGER_UNAVAILABLE"],
    ["a crash", "POST", "/api/v1/things", { name: "crash" }, 500, "INTERNAL"],
  ] as const)("%s is a problem document", async ([, method, url, payload, status, code]) => {
    const answer = await call(method, url, payload);
    expect(answer.headers["content-type"]).toMatch(/^application\/problem\+json\b/);
    expect(problem.parse(answer.body)).toMatchObject({ status, code, correlationId: "id-1" });
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.body)).not.toContain("with a secret");
  });

  test("an empty body is none, whatever its type: clients send the header with every call", async () => {
    expect((await call("DELETE", "/api/v1/things/box", "")).status).toBe(204);
  });

  test("405 names the methods, 503 when to come again", async () => {
    expect((await call("PUT", "/api/v1/things")).headers["allow"]).toBe("GET, POST");
    expect((await call("POST", "/api/v1/things", { name: "away" })).headers["retry-after"]).toBe("1");
  });

  test("every wrong place is named at once", async () => {
    const { body } = await call("POST", "/api/v1/things", { name: 1, size: "big" });
    expect(problem.parse(body).errors?.map(({ path }) => path)).toEqual(["body.name", "body.size"]);
  });
});

test("what is no HTTP is a problem document too", async () => {
  const server = api();
  await server.listen({ host: "127.0.0.1", port: 0 });
  const { port } = server.server.address() as AddressInfo;
  const { text } = await say(port, "GET / HTTP/9\r\n\r\n");
  const [head = "", body = ""] = text.split("\r\n\r\n");
  expect(head).toContain("Content-Type: application/problem+json");
  expect(problem.parse(JSON.parse(body))).toMatchObject({ status: 400, code: "HTTP_BAD_REQUEST" });
});

test("the description has each route with its schemas, answers and errors, and no dangling reference", () => {
  const text = JSON.stringify(openApiOf(routes, "1"));
  const document = JSON.parse(text);
  const create = document.paths["/api/v1/things"].post;
  // what is sent may leave the size out, what is answered never does
  expect(create.requestBody.content["application/json"].schema).toEqual({ $ref: "#/components/schemas/ThingInput" });
  expect(create.responses["201"].content["application/json"].schema).toEqual({ $ref: "#/components/schemas/Thing" });
  expect(document.components.schemas.Thing.required).toEqual(["name", "size"]);
  expect(document.components.schemas.ThingInput.required).toEqual(["name"]);
  for (const status of ["201", "400", "401", "409", "413", "415", "500", "503"]) {
    expect(create.responses).toHaveProperty(status);
  }
  expect(create.responses["409"].content["application/problem+json"].schema.allOf).toEqual([
    { $ref: "#/components/schemas/Problem" },
    { type: "object", properties: { code: { type: "string", enum: ["WEBHOOK_SOURCE_UNKNOWN"] } } },
  ]);
  const [limit] = document.paths["/api/v1/things"].get.parameters;
  expect(limit).toMatchObject({ name: "limit", in: "query", required: false, schema: { default: 50, maximum: 200 } });
  expect(document.paths["/api/v1/things/{name}"].delete.parameters[0]).toMatchObject({ in: "path", required: true });
  for (const [, name = ""] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    expect(document.components.schemas).toHaveProperty(name);
  }
  expect(text).not.toContain("$defs");
});
