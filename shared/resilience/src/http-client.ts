import { currentContext } from "@warren/observability";
import { Agent } from "undici";
import type { Cache } from "./cache.ts";
import { classifyStatus, parseRetryAfter } from "./classify.ts";
import { BodyTooLarge, encodeBody, looseBody, type RequestBody, readBody } from "./http-body.ts";
import { joinUrl, parseBaseUrl, type Query } from "./http-url.ts";
import type { Attempt, Operation } from "./operation.ts";
import type { Provider } from "./provider.ts";
import { type ProviderErrorOptions, ProviderResponseInvalidError } from "./provider-error.ts";

/** What we need of a zod schema. */
export interface ResponseSchema<T> {
  safeParse(
    value: unknown,
  ):
    | { readonly success: true; readonly data: T }
    | { readonly success: false; readonly error: { readonly issues: readonly SchemaIssue[] } };
}
interface SchemaIssue {
  readonly path: readonly PropertyKey[];
  readonly code?: string | undefined;
}

export type HttpMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface HttpClientOptions {
  readonly provider: Provider;
  /** Such as `https://api.yookassa.ru/v3`; no credentials inside. */
  readonly baseUrl: string;
  /** Sent with every request: authorization, API version. Never logged. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default `warren`. */
  readonly userAgent?: string;
  /**
   * The header that carries the idempotency key of POST and PATCH, if the provider takes one: `Idempotency-Key` (Stripe),
   * `Idempotence-Key` (YooKassa). Without it those methods are repeated only when the provider certainly did nothing.
   */
  readonly idempotencyKeyHeader?: string;
  /** Connections kept alive at most. Default 16; the bulkhead of an operation is the limit that speaks. */
  readonly connections?: number;
  /** Default 5,000; at most the operation's timeout counts anyway. */
  readonly connectTimeoutMs?: number;
  /** Default 1 MiB. */
  readonly maxResponseBytes?: number;
  /** Statuses besides 408, 425, 429 and 5xx that mean "later", such as 409 of Stripe. */
  readonly alsoRetryable?: readonly number[];
  /** Needed by requests with `cache`. */
  readonly cache?: Cache;
}

export interface HttpRequest {
  readonly operation: Operation;
  readonly method: HttpMethod;
  /** Under the base URL; build it with `` path`…` ``. */
  readonly path: string;
  readonly query?: Query;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** GET only: how long an answer may be given again, in milliseconds. Requests with headers of their own name a `key`. */
  readonly cache?: { readonly ttlMs: number; readonly key?: string };
}

export interface HttpResponse<T> {
  readonly status: number;
  /** Lower-case names; empty when the answer came from the cache. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: T;
}

export interface HttpClient extends AsyncDisposable {
  /**
   * Makes a request and reads the whole answer. Redirects are not followed.
   * @throws ProviderError for every status but 2xx, for failures of the network and for bodies that do not match `schema`.
   */
  request<T>(request: HttpRequest & { readonly schema: ResponseSchema<T> }): Promise<HttpResponse<T>>;
  /** Without a schema the body is JSON as it came, or text. */
  request(request: HttpRequest): Promise<HttpResponse<unknown>>;
}

/** Methods that RFC 9110 §9.2.2 calls idempotent: sending them twice does no more than once. */
const idempotentMethods: ReadonlySet<HttpMethod> = new Set(["GET", "HEAD", "PUT", "DELETE"]);
const defaultMaxResponseBytes = 1024 * 1024;

/** An HTTP client of one provider: kept-alive HTTP/1.1 connections, standard headers, deadline, safe retries, optional cache. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const base = parseBaseUrl(options.baseUrl);
  const maxResponseBytes = options.maxResponseBytes ?? defaultMaxResponseBytes;
  const agent = new Agent({
    connections: options.connections ?? 16,
    connect: { timeout: options.connectTimeoutMs ?? 5_000 },
    allowH2: false,
    pipelining: 1,
  });

  function headersOf(request: HttpRequest, contentType: string | undefined, attempt: Attempt): Record<string, string> {
    const context = currentContext();
    const keyHeader = idempotentMethods.has(request.method) ? undefined : options.idempotencyKeyHeader;
    return {
      accept: "application/json",
      "user-agent": options.userAgent ?? "warren",
      ...(contentType === undefined ? {} : { "content-type": contentType }),
      ...(context?.correlationId === undefined ? {} : { "x-correlation-id": context.correlationId }),
      ...(context?.traceparent === undefined ? {} : { traceparent: context.traceparent }),
      ...lowerCase(options.headers),
      ...lowerCase(request.headers),
      ...(keyHeader === undefined ? {} : { [keyHeader.toLowerCase()]: attempt.idempotencyKey }),
    };
  }

  async function send(request: HttpRequest): Promise<HttpResponse<string>> {
    const url = joinUrl(base, request.path, request.query);
    const body = request.body === undefined ? undefined : encodeBody(request.body);
    const facts: ProviderErrorOptions = { provider: request.operation.provider, operation: request.operation.name };
    const attemptOnce = async (attempt: Attempt): Promise<HttpResponse<string>> => {
      const response = await agent.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method: request.method,
        headers: headersOf(request, body?.contentType, attempt),
        body: body?.bytes ?? null,
        signal: attempt.signal,
      });
      const text = await readBody(response.body, maxResponseBytes).catch((error: unknown) => {
        if (!(error instanceof BodyTooLarge)) throw error;
        // a failure stays what its status says, whatever the length of its page
        if (response.statusCode >= 300) return "";
        throw new ProviderResponseInvalidError(error.message, { ...facts, details: { status: response.statusCode } });
      });
      const failure = classifyStatus(
        { status: response.statusCode, body: looseBody(text) },
        { ...facts, retryAfterMs: parseRetryAfter(response.headers["retry-after"], Date.now()) },
        options.alsoRetryable,
      );
      if (failure !== undefined) throw failure;
      return { status: response.statusCode, headers: response.headers, body: text };
    };
    return request.operation.call(attemptOnce, {
      signal: request.signal,
      idempotencyKey: request.idempotencyKey,
      safe: idempotentMethods.has(request.method) || options.idempotencyKeyHeader !== undefined,
    });
  }

  async function sendOrRecall(request: HttpRequest): Promise<HttpResponse<string>> {
    if (request.cache === undefined) return send(request);
    if (request.method !== "GET" || options.cache === undefined) {
      throw new TypeError("only GET requests of a client with a cache are cached");
    }
    if (request.headers !== undefined && request.cache.key === undefined) {
      throw new TypeError("a cached request with headers of its own needs a cache key: the answer may depend on them");
    }
    const url = joinUrl(base, request.path, request.query);
    const key = `http:${request.operation.breaker}:${request.cache.key ?? ""}:${url.href}`;
    // the load is shared, so no single caller's signal may end it; the operation's timeout does
    const { signal, ...shared } = request;
    const body = await options.cache.get({
      key,
      ttlMs: request.cache.ttlMs,
      signal,
      load: async () => (await send(shared)).body,
      accept: (value): value is string => typeof value === "string",
    });
    return { status: 200, headers: {}, body };
  }

  async function request<T>(
    request: HttpRequest & { readonly schema?: ResponseSchema<T> },
  ): Promise<HttpResponse<unknown>> {
    const answer = await sendOrRecall(request);
    if (request.schema === undefined) return { ...answer, body: looseBody(answer.body) };
    return { ...answer, body: parse(answer, request.schema, request.operation) };
  }

  return {
    request,
    async [Symbol.asyncDispose]() {
      await agent.destroy();
    },
  };
}

function parse<T>(answer: HttpResponse<string>, schema: ResponseSchema<T>, operation: Operation): T {
  const facts = { provider: operation.provider, operation: operation.name, details: { status: answer.status } };
  let value: unknown;
  try {
    value = answer.body === "" ? undefined : JSON.parse(answer.body);
  } catch (error) {
    throw new ProviderResponseInvalidError("the answer is not JSON", { ...facts, cause: error });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // where and what kind, never the value
  const where = result.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.map(String).join(".")} (${issue.code ?? "invalid"})`);
  throw new ProviderResponseInvalidError(`the answer has another shape: ${where.join(", ")}`, facts);
}

function lowerCase(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
