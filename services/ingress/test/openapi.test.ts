import { errorCatalogue } from "@warren/contracts";
import { createLogger } from "@warren/observability";
import { describe, expect, test } from "vitest";
import { type ApiParts, apiRoutes } from "../src/api/routes.ts";
import { createApi } from "../src/api/server.ts";
import { openApiFaults } from "./openapi-schema.ts";

interface Operation {
  readonly operationId: string;
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

// no handler runs: the table alone is looked at
const routes = apiRoutes({ routing: {} } as unknown as ApiParts);

async function served(): Promise<Document> {
  await using api = createApi({
    keys: ["0123456789abcdef0123456789"],
    routes,
    newId: () => "id",
    log: createLogger({ service: "openapi-test", level: "silent" }),
  });
  return (await api.inject({ url: "/api/v1/openapi.json" })).json<Document>();
}

const document = await served();
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([method]) => !["servers", "parameters"].includes(method))
    .map(([method, operation]) => ({ path, method, ...operation })),
);

describe("the served description", () => {
  test("is an OpenAPI 3.1 document by the official schema, each schema in it one of JSON Schema 2020-12", () => {
    expect(openApiFaults(document)).toEqual([]);
  });

  test("has every route of the API, and itself, under its own operationId", () => {
    const ids = new Map(operations.map(({ path, method, operationId }) => [`${method} ${path}`, operationId]));
    for (const { method, path, id } of routes) expect([path, ids.get(`${method} /api/v1${path}`)]).toEqual([path, id]);
    expect(ids.has("get /api/v1/openapi.json")).toBe(true);
    const ours = [...ids.keys()].filter((name) => name.includes(" /api/v1/"));
    expect(ours).toHaveLength(routes.length + 1);
    expect(new Set(ids.values()).size).toBe(operations.length);
  });

  test("says which scope each call needs of its key; writing needs more than reading", () => {
    for (const { method, path, scope } of routes) {
      const operation = document.paths[`/api/v1${path}`]?.[method];
      expect([path, operation?.security]).toEqual([path, [{ key: [scope] }]]);
      expect([method, path, scope.endsWith(".read")]).toEqual([method, path, method === "get"]);
    }
  });

  test("declares each parameter of a path, and no other", () => {
    for (const { path, parameters = [], ...operation } of operations.filter(({ path }) => path.startsWith("/api/"))) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = parameters.filter(({ in: where }) => where === "path").map(({ name }) => name);
      expect([operation.operationId, declared]).toEqual([operation.operationId, inPath]);
    }
  });

  test("names no error code that the catalogue lacks, and each of a route's under its status", () => {
    const named = [...JSON.stringify(document).matchAll(/\b(?!WARREN_)[A-Z]+(?:_[A-Z0-9]+)+\b/g)].map(([code]) => code);
    expect(named.length).toBeGreaterThan(100);
    expect([...new Set(named)].filter((code) => !Object.hasOwn(errorCatalogue, code))).toEqual([]);
    for (const { method, path, errors } of routes) {
      for (const [code, status] of Object.entries(errors)) {
        const said = document.paths[`/api/v1${path}`]?.[method]?.responses[status]?.description;
        expect(`${method} ${path} ${status}: ${said}`).toContain(`\`${code}\``);
      }
    }
  });
});

const one = (operation: object, schemas: object = {}) => ({
  openapi: "3.1.0",
  info: { title: "a", version: "1" },
  paths: { "/a/{id}": { get: operation } },
  components: { schemas },
});
const answering = (schema: unknown) => ({
  responses: { 200: { description: "a", content: { "application/json": { schema } } } },
});

describe("the official schema finds", () => {
  test("nothing in a small document that is right", () => {
    expect(openApiFaults(one(answering({ type: ["string", "null"] }), { A: { $ref: "#/b", minLength: 1 } }))).toEqual(
      [],
    );
  });

  test.for([
    ["a member that OpenAPI does not know", { ...one({}), path: {} }],
    ["an answer without a description", one({ responses: { 200: {} } })],
    ["a status that is none", one({ responses: { "2000": { description: "a" } } })],
    ["a parameter without a schema", one({ parameters: [{ name: "a", in: "query" }] })],
    ["a path parameter that may be left out", one({ parameters: [{ name: "id", in: "path", schema: {} }] })],
    ["a type that JSON Schema does not know", one(answering({ properties: { a: { items: { type: "strng" } } } }))],
    ["a keyword of another draft", one({}, { A: { type: "object", required: true } })],
    ["a security scheme of no kind", { ...one({}), components: { securitySchemes: { key: { type: "key" } } } }],
  ] as const)("%s", ([, wrong]) => {
    expect(openApiFaults(wrong)).not.toEqual([]);
  });
});
