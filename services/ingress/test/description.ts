import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

type Json = Readonly<Record<string, unknown>>;

interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Json }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: Json }>> }>
  >;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> };
}

/** One answer as it went out. */
interface Answered {
  readonly method: string;
  /** Fastify's, such as `/api/v1/sources/:name`; `undefined`: no route. */
  readonly url: string | undefined;
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Parsed, where there was one. */
  readonly sent?: unknown;
}

function schemaId(name: string): string {
  return `https://warren.test/${name}`;
}

/** With references to the components by their ids here. */
function local(schema: Json): Json {
  const text = JSON.stringify(schema).replaceAll(/"#\/components\/schemas\/([^"]+)"/g, (_all, name: string) =>
    JSON.stringify(schemaId(name)),
  );
  return JSON.parse(text) as Json;
}

/** Holds answers to an OpenAPI 3.1 document, by JSON Schema 2020-12. */
export function createDescriptionCheck(document: Document) {
  const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true });
  (addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
  // each by itself: a schema that nobody answers with is held to the rules of schemas all the same
  for (const [name, schema] of Object.entries(document.components.schemas))
    ajv.addSchema(local(schema), schemaId(name));
  for (const name of Object.keys(document.components.schemas)) ajv.getSchema(schemaId(name));
  const compiled = new Map<string, ValidateFunction>();

  function problemWith(schema: Json, value: unknown): string | undefined {
    const text = JSON.stringify(schema);
    let validate = compiled.get(text);
    if (validate === undefined) {
      validate = ajv.compile(local(schema));
      compiled.set(text, validate);
    }
    return validate(value) ? undefined : ajv.errorsText(validate.errors);
  }

  return {
    /** Says what is not as described; `undefined`: all is. */
    judge({ method, url, status, contentType, body, sent }: Answered): string | undefined {
      const path = url?.replaceAll(/:(\w+)/g, "{$1}") ?? "";
      const operation = document.paths[path]?.[method.toLowerCase()];
      const where = `${method} ${path} ${status}`;
      const type = contentType.split(";")[0] ?? "";
      if (operation === undefined) {
        // what is not described is no call: it may only be refused
        return status === 404 || status === 405 || status === 401
          ? problemWith({ $ref: "#/components/schemas/Problem" }, JSON.parse(body))
          : `${where}: not described`;
      }
      const answer = operation.responses[status] ?? operation.responses[`${Math.floor(status / 100)}XX`];
      if (answer === undefined) return `${where}: the status is not described`;
      if (body === "") return answer.content === undefined || "*/*" in answer.content ? undefined : `${where}: no body`;
      const content = answer.content?.[type] ?? answer.content?.["*/*"];
      if (content === undefined) return `${where}: ${type} is not described`;
      const input = operation.requestBody?.content["application/json"]?.schema;
      const refused = status < 300 && input !== undefined && sent !== undefined ? problemWith(input, sent) : undefined;
      if (refused !== undefined) return `${where}: took a body that is not as described: ${refused}`;
      const wrong = content.schema === undefined ? undefined : problemWith(content.schema, JSON.parse(body));
      return wrong === undefined ? undefined : `${where}: ${wrong}: ${body.slice(0, 500)}`;
    },
  };
}

/** Holds every answer of these servers to the description that the API serves. Call it before they listen; ask for what was wrong in the end. */
export function watchAnswers(api: FastifyInstance, app: FastifyInstance): { readonly wrong: () => readonly string[] } {
  const wrong: string[] = [];
  let check: Promise<ReturnType<typeof createDescriptionCheck>> | undefined;
  const described = async () => {
    const served = await api.inject({ url: descriptionPath });
    return createDescriptionCheck(served.json<Document>());
  };
  const hook = async (request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> => {
    const { url } = request.routeOptions;
    if (url === descriptionPath || (url !== undefined && !/^\/(?:api|webhooks)\//.test(url))) return payload;
    check ??= described();
    const body = typeof payload === "string" || Buffer.isBuffer(payload) ? payload.toString() : "";
    const contentType = String(reply.getHeader("content-type") ?? "");
    const sent = url?.startsWith("/api/") === true ? request.body : undefined;
    try {
      const answered = { method: request.method, url, status: reply.statusCode, contentType, body, sent };
      const said = (await check).judge(answered);
      if (said !== undefined) wrong.push(said);
    } catch (error) {
      // the answer must not change because it is looked at
      wrong.push(`${request.method} ${url ?? ""}: ${error instanceof Error ? error.message : String(error)}`);
    }
    return payload;
  };
  api.addHook("onSend", hook);
  app.addHook("onSend", hook);
  return { wrong: () => wrong };
}

const descriptionPath = "/api/v1/openapi.json";
