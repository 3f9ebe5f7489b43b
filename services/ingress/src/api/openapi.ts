import {
  type ErrorCode,
  errorCatalogue,
  problem,
  problemContentType,
  sourceName,
  webhookReceipt,
} from "@warren/contracts";
import { z } from "zod";
import { webhookErrors } from "../http/answers.ts";
import type { AnswerShape, ApiRoute, Method } from "./route.ts";

type Json = { readonly [key: string]: unknown };

/** Errors that every call may have. */
const commonErrors: Readonly<Partial<Record<ErrorCode, number>>> = {
  API_REQUEST_INVALID: 400,
  HTTP_BAD_REQUEST: 400,
  LEDGER_DATA_INVALID: 400,
  API_KEY_INVALID: 401,
  API_SCOPE_MISSING: 403,
  API_BODY_TOO_LARGE: 413,
  API_CONTENT_TYPE_UNSUPPORTED: 415,
  INTERNAL: 500,
  LEDGER_UNAVAILABLE: 503,
};

const keyDescription =
  "One of WARREN_API_KEYS. What a call requires of it is a scope that the key must open: `<area>.read`, `<area>.write` " +
  "(which may also read), `*.read`, `*.write` or `*`; see infra/docs/api.md.";

/** OpenAPI 3.1 of these routes, from their schemas alone. Schemas with `.meta({ id })` become components. */
export function openApiOf(routes: readonly ApiRoute[], version: string): Json {
  const components = createComponents();
  const problemSchema = components.schemaOf(problem.meta({ id: "Problem", description: "RFC 9457" }), "output");
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = (paths[`/api/v1${route.path}`] ??= {});
    path[route.method] = {
      operationId: route.id,
      tags: [route.tag],
      summary: route.summary,
      ...(route.description === undefined ? {} : { description: route.description }),
      security: [{ key: [route.scope] }],
      parameters: [
        ...parametersOf("path", route.params, components),
        ...parametersOf("query", route.query, components),
      ],
      ...(route.body === undefined
        ? {}
        : {
            requestBody: {
              required: !route.body.safeParse(undefined).success,
              content: { "application/json": { schema: components.schemaOf(route.body, "input") } },
            },
          }),
      responses: { ...answersOf(route, components), ...problemsOf(route, problemSchema) },
    };
  }
  paths[descriptionPath] = { get: describeItself() };
  paths["/webhooks/{source}"] = webhooksPath(components, problemSchema);
  return {
    openapi: "3.1.0",
    info: {
      title: "Warren management API",
      version,
      description: "Errors are application/problem+json (RFC 9457) with a `code` of Warren's catalogue.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{ key: [] }],
    tags: [...new Set([...routes.map(({ tag }) => tag), descriptionTag, webhooksTag])].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer", description: keyDescription } },
      schemas: components.all(),
    },
  };
}

interface Components {
  schemaOf(schema: z.ZodType, io: "input" | "output"): Json;
  all(): Json;
}

function createComponents(): Components {
  const schemas = new Map<string, string>();

  /** Whether a name is free for a text, or has it already. */
  function take(name: string, text: string): boolean {
    const known = schemas.get(name);
    if (known === undefined) schemas.set(name, text);
    return known === undefined || known === text;
  }

  function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
    // in an object, so that a schema with an id is a definition like any other
    const { $defs, properties } = z.toJSONSchema(z.object({ schema }), { io }) as unknown as {
      readonly $defs?: Readonly<Record<string, Json>>;
      readonly properties: { readonly schema: Json };
    };
    const names = new Map<string, string>();
    const rename = (text: string): string =>
      text.replaceAll(/"#\/\$defs\/([^"]+)"/g, (_all, id: string) => {
        return JSON.stringify(`#/components/schemas/${names.get(id) ?? define(id)}`);
      });
    // A name's meaning may differ between what is sent and what is answered (defaults, for one): then the former is `<Name>Input`.
    const define = (id: string): string => {
      const { id: _, ...definition } = $defs?.[id] ?? {};
      for (const name of [id, `${id}Input`]) {
        // known before its text is written, which may name itself
        names.set(id, name);
        if (take(name, rename(JSON.stringify(definition)))) return name;
      }
      throw new TypeError(`two schemas are called ${id}: give one another id`);
    };
    return JSON.parse(rename(JSON.stringify(properties.schema))) as Json;
  }

  return {
    schemaOf,
    all: () => Object.fromEntries([...schemas].map(([name, text]) => [name, JSON.parse(text) as Json])),
  };
}

function parametersOf(where: "path" | "query", schema: z.ZodType | undefined, components: Components): readonly Json[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = components.schemaOf(schema, "input") as {
    readonly properties?: Readonly<Record<string, Json>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...property }]) => ({
    name,
    in: where,
    required: where === "path" || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: property,
  }));
}

function answersOf({ answers }: ApiRoute, components: Components): Json {
  const contentOf = (answer: AnswerShape): Json => {
    if (answer.kind === "empty") return {};
    if (answer.kind === "bytes") return { content: { [answer.contentType]: {} } };
    return { content: { "application/json": { schema: components.schemaOf(answer.schema, "output") } } };
  };
  return Object.fromEntries(
    Object.entries(answers).map(([status, answer]) => [
      status,
      { description: answer.description, ...contentOf(answer) },
    ]),
  );
}

function problemsOf({ errors }: ApiRoute, schema: Json): Json {
  return problemsAt({ ...commonErrors, ...errors }, schema);
}

/** Where the description is served, to everybody. */
export const descriptionPath = "/api/v1/openapi.json";
const descriptionTag = "description";

function describeItself(): Json {
  return {
    operationId: "getDescription",
    tags: [descriptionTag],
    summary: "This document",
    security: [],
    responses: { 200: { description: "OpenAPI 3.1", content: { "application/json": { schema: { type: "object" } } } } },
  };
}

const webhooksTag = "webhooks";

/** What providers call: the other port of the ingress, without our key. Which method, type and answer, is the provider's business. */
function webhooksPath(components: Components, problemSchema: Json): Record<string, unknown> {
  const receipt = components.schemaOf(webhookReceipt.meta({ id: "WebhookReceipt" }), "output");
  const taken = {
    description:
      "Accepted, or a duplicate, or a challenge answered. Unless provider or source want other words: a receipt.",
    headers: { "x-correlation-id": { schema: { type: "string" } } },
    content: { "application/json": { schema: { anyOf: [receipt, {}] } }, "*/*": {} },
  };
  const operation = (method: Method | "head"): Json => ({
    operationId: `${method}Webhook`,
    tags: [webhooksTag],
    summary:
      method === "post"
        ? "Receives a webhook of a source"
        : "Receives what a provider sends in this method, such as a challenge",
    security: [],
    ...(method === "get" || method === "head" ? {} : { requestBody: { content: { "*/*": {} } } }),
    responses: { "2XX": taken, ...problemsAt(webhookErrors, problemSchema) },
  });
  const methods = ["get", "head", "post", "put", "patch"] as const;
  return {
    servers: [{ url: "/", description: "The public port of the ingress (PORT), not that of this API" }],
    parameters: [{ name: "source", in: "path", required: true, schema: components.schemaOf(sourceName, "input") }],
    ...Object.fromEntries(methods.map((method) => [method, operation(method)])),
  };
}

function problemsAt(errors: Readonly<Partial<Record<ErrorCode, number>>>, schema: Json): Json {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const [code, status] of Object.entries(errors) as [ErrorCode, number][]) {
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      {
        description: codes.map((code) => `\`${code}\`: ${errorCatalogue[code].meaning}`).join("\n\n"),
        content: { [problemContentType]: { schema: status === 503 ? schema : withCode(schema, codes) } },
      },
    ]),
  );
}

/** A problem with one of these codes. Not of 503: whatever may be tried again is answered so. */
function withCode(schema: Json, codes: readonly ErrorCode[]): Json {
  return { allOf: [schema, { type: "object", properties: { code: { type: "string", enum: codes } } }] };
}
