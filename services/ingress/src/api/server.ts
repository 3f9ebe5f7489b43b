import { type ErrorCode, WarrenError } from "@warren/contracts";
import type { Logger } from "@warren/observability";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { correlationOf } from "../http/correlation.ts";
import { type ProblemOptions, sendProblem } from "../http/problem.ts";
import { requestInvalid } from "../http/request-invalid.ts";
import { answerClientError } from "../http/server.ts";
import { type KeyHolder, keyCheck } from "./keys.ts";
import { descriptionPath, openApiOf } from "./openapi.ts";
import { type ApiRoute, type Caller, demand, type Method } from "./route.ts";

export interface ApiOptions {
  /** As in WARREN_API_KEYS: see `parseApiKey`. */
  readonly keys: readonly string[];
  readonly routes: readonly ApiRoute[];
  readonly newId: () => string;
  readonly log: Logger;
}

const prefix = "/api/v1";
const nobody: KeyHolder = { key: "", scopes: [] };
const maxBodyBytes = 1_048_576;
const methods: readonly Method[] = ["get", "post", "put", "patch", "delete"];

declare module "fastify" {
  interface FastifyRequest {
    caller: Caller;
  }
}

/**
 * The management API as a server that does not listen yet. Every path but its description wants `Authorization: Bearer <key>`;
 * every error is a problem document. Keep its port away from the public: a key changes everything.
 */
export function createApi({ keys, routes, newId, log }: ApiOptions): FastifyInstance {
  const holderOf = keyCheck(keys);
  const app = Fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    requestTimeout: 30_000,
    forceCloseConnections: "idle",
    requestIdHeader: false,
    exposeHeadRoutes: false,
    clientErrorHandler: (error, socket) => answerClientError(error, socket, "HTTP_BAD_REQUEST"),
    frameworkErrors: (error, _request, reply) => {
      void sendProblem(reply, error.statusCode ?? 400, "HTTP_BAD_REQUEST", { detail: error.message });
    },
  });
  app.decorateRequest("caller", null as unknown as Caller);
  const parseJson = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    // many clients name the type with every call, also with one that has no body
    if (body === "") done(null);
    else
      void parseJson(request, String(body), (error, parsed) =>
        done(error === null ? null : requestInvalid([{ path: "body", message: "expected JSON" }]), parsed),
      );
  });
  app.addHook("onRequest", async (request, reply) => {
    const correlationId = correlationOf(request.headers["x-correlation-id"], newId());
    const holder = holderOf(request.headers.authorization);
    request.caller = { ...(holder ?? nobody), correlationId };
    void reply.header("x-correlation-id", correlationId).header("cache-control", "no-store");
    if (request.routeOptions.url === descriptionPath) return;
    if (holder !== undefined) {
      const route = routeOf(request);
      if (route !== undefined) demand(holder, route.scope);
      return;
    }
    void reply.header("www-authenticate", 'Bearer realm="warren"');
    sendProblem(reply, 401, "API_KEY_INVALID", { correlationId });
    await reply;
  });
  app.setNotFoundHandler((request, reply) => problemTo(request, reply, 404, "HTTP_NOT_FOUND"));
  app.setErrorHandler((error: FastifyError, request, reply) => failed(error, request, reply, log, routeOf(request)));

  const byUrl = Map.groupBy(routes, ({ path }) => prefix + path.replaceAll(/\{([^}]+)\}/g, ":$1"));
  const routeOf = ({ routeOptions, method }: FastifyRequest): ApiRoute | undefined =>
    byUrl.get(routeOptions.url ?? "")?.find((route) => route.method === method.toLowerCase());

  for (const [url, here] of byUrl) {
    for (const route of here) {
      app.route({
        method: route.method,
        url,
        handler: async (request, reply) => {
          const { params, query, body, caller } = request;
          const answer = await route.run({ params, query, body: body ?? undefined, caller });
          if (route.method !== "get") {
            const { key, correlationId } = caller;
            log.info({ operation: route.id, params, status: answer.status, key, correlationId }, "management call");
          }
          if (answer.contentType !== undefined) void reply.header("content-type", answer.contentType);
          return reply.headers(answer.headers).code(answer.status).send(answer.body);
        },
      });
    }
    const known = here.map(({ method }) => method);
    const allow = known.map((method) => method.toUpperCase()).join(", ");
    app.route({
      method: methods.filter((method) => !known.includes(method)),
      url,
      handler: (request, reply) => {
        void reply.header("allow", allow);
        return problemTo(request, reply, 405, "API_METHOD_NOT_ALLOWED");
      },
    });
  }
  const description = JSON.stringify(openApiOf(routes, "1"));
  app.get(descriptionPath, (_request, reply) => reply.header("content-type", "application/json").send(description));
  return app;
}

function problemTo(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  code: ErrorCode,
  options: ProblemOptions = {},
): FastifyReply {
  return sendProblem(reply, status, code, { correlationId: request.caller.correlationId, ...options });
}

/** Source: https://www.rfc-editor.org/rfc/rfc6750#section-3.1 */
function refusedForScope(
  { details }: WarrenError,
  { caller: { key, correlationId } }: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
  route: ApiRoute | undefined,
): void {
  const scope = String(details["scope"]);
  log.warn(
    { operation: route?.id, scope, key, correlationId },
    "a management call was refused: its key lacks the scope",
  );
  void reply.header("www-authenticate", `Bearer realm="warren", error="insufficient_scope", scope="${scope}"`);
}

/** What a call may have done wrong, whatever its route. */
const commonStatuses: Readonly<Partial<Record<ErrorCode, number>>> = {
  API_REQUEST_INVALID: 400,
  API_SCOPE_MISSING: 403,
  LEDGER_DATA_INVALID: 400,
};

function failed(
  error: FastifyError | WarrenError,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
  route: ApiRoute | undefined,
): FastifyReply {
  if (error instanceof WarrenError) {
    const status = route?.errors[error.code] ?? commonStatuses[error.code];
    if (status !== undefined) {
      if (error.code === "API_SCOPE_MISSING") refusedForScope(error, request, reply, log, route);
      const { errors } = error.details as { readonly errors?: ProblemOptions["errors"] };
      return problemTo(request, reply, status, error.code, {
        detail: error.message,
        ...(errors === undefined ? {} : { errors }),
      });
    }
    if (error.retryable) {
      log.warn({ err: error, operation: route?.id }, "a management call could not be served now");
      return problemTo(request, reply, 503, error.code, { retryAfterSeconds: 1 });
    }
  } else if (error.statusCode === 413) {
    return problemTo(request, reply, 413, "API_BODY_TOO_LARGE", { detail: `at most ${maxBodyBytes} bytes` });
  } else if (error.statusCode === 415) {
    return problemTo(request, reply, 415, "API_CONTENT_TYPE_UNSUPPORTED");
  } else if (error.statusCode !== undefined && error.statusCode < 500) {
    return problemTo(request, reply, error.statusCode, "HTTP_BAD_REQUEST", { detail: error.message });
  }
  const { correlationId } = request.caller;
  log.error({ err: error, operation: route?.id, correlationId }, "a management call failed");
  return problemTo(request, reply, 500, "INTERNAL");
}
