import { type ApiScope, type ErrorCode, opens, WarrenError } from "@warren/contracts";
import { z } from "zod";
import { problemsAt, type RequestProblem, requestInvalid } from "../http/request-invalid.ts";
import type { KeyHolder } from "./keys.ts";

/** What a call answers with: JSON of a schema, bytes as they are, or nothing. */
export type AnswerShape =
  | { readonly kind: "json"; readonly description: string; readonly schema: z.ZodType }
  | { readonly kind: "bytes"; readonly description: string; readonly contentType: string }
  | { readonly kind: "empty"; readonly description: string };

export function json<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { kind: "json", schema, description } as const;
}

export function empty(description: string) {
  return { kind: "empty", description } as const;
}

type AnswerShapes = Readonly<Record<number, AnswerShape>>;

interface AnswerHead<Status> {
  readonly status: Status;
  readonly headers?: Readonly<Record<string, string>>;
}

interface AnswerWithBody<Status, Body> extends AnswerHead<Status> {
  readonly body: Body;
}

/** One of a route's declared answers, as its handler gives it. */
export function answer<const Status extends number, Body = undefined>(
  status: Status,
  body?: Body,
  headers: Readonly<Record<string, string>> = {},
): AnswerWithBody<Status, Body> {
  // sound: left out only where Body is undefined
  return { status, body: body as Body, headers };
}

/** One of the declared answers. */
type AnswerOf<Answers extends AnswerShapes> = {
  [Status in keyof Answers & number]: Answers[Status] extends { readonly kind: "json"; readonly schema: infer Schema }
    ? AnswerWithBody<Status, z.input<Schema & z.ZodType>>
    : Answers[Status] extends { readonly kind: "bytes" }
      ? AnswerWithBody<Status, Buffer>
      : AnswerHead<Status>;
}[keyof Answers & number];

/** Statuses that an error of the route may have. */
type ErrorStatus = 400 | 403 | 404 | 409 | 410 | 412 | 413 | 422 | 429 | 501 | 503;

interface CallOf<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> {
  readonly params: z.output<Params>;
  readonly query: z.output<Query>;
  readonly body: z.output<Body>;
  readonly caller: Caller;
}

/** Who calls, for logs and for what is kept about a change; never the key itself. */
export interface Caller extends KeyHolder {
  readonly correlationId: string;
}

/** Who did something, for what is kept about it: what they say, and the key that they cannot hide. */
export function actorOf(by: string | undefined, { key }: KeyHolder): string {
  return by === undefined ? `key ${key}` : `${by} (key ${key})`;
}

/** @throws WarrenError `API_SCOPE_MISSING`, a 403 of every route. */
export function demand({ key, scopes }: KeyHolder, scope: ApiScope): void {
  if (opens(scopes, scope)) return;
  throw new WarrenError("API_SCOPE_MISSING", `this needs the scope ${scope}; the key ${key} has ${scopes.join(", ")}`, {
    details: { scope },
  });
}

interface RouteDefinition<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answers extends AnswerShapes,
> {
  readonly method: Method;
  /** Below `/api/v1`, in OpenAPI's form: `/sources/{name}`. */
  readonly path: `/${string}`;
  /** OpenAPI's `operationId`: unique, a verb and a noun, such as `listSources`. */
  readonly id: string;
  /** What the caller's key must open. */
  readonly scope: ApiScope;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly answers: Answers;
  /** Codes that `handle` may throw, with their statuses. Any other error is 500, or 503 when it is retryable. */
  readonly errors?: Readonly<Partial<Record<ErrorCode, ErrorStatus>>>;
  readonly handle: (call: CallOf<Params, Query, Body>) => Promise<AnswerOf<Answers>> | AnswerOf<Answers>;
}

export type Method = "get" | "post" | "put" | "patch" | "delete";

/** A route of the management API as data: registered, checked and described from this alone. Make it with `defineRoute`. */
export interface ApiRoute {
  readonly method: Method;
  readonly path: string;
  readonly id: string;
  readonly scope: ApiScope;
  readonly tag: string;
  readonly summary: string;
  readonly description: string | undefined;
  readonly params: z.ZodType | undefined;
  readonly query: z.ZodType | undefined;
  readonly body: z.ZodType | undefined;
  readonly answers: AnswerShapes;
  readonly errors: Readonly<Partial<Record<ErrorCode, ErrorStatus>>>;
  /** Checks what came, handles it, checks what goes. @throws WarrenError `API_REQUEST_INVALID`, those of `errors`. */
  readonly run: (call: RawCall) => Promise<ApiAnswer>;
}

interface RawCall {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly caller: Caller;
}

interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly contentType: string | undefined;
  readonly body: string | Buffer | undefined;
}

const nothing = z.undefined();

export function defineRoute<
  const Answers extends AnswerShapes,
  Params extends z.ZodType = typeof nothing,
  Query extends z.ZodType = typeof nothing,
  Body extends z.ZodType = typeof nothing,
>(definition: RouteDefinition<Params, Query, Body, Answers>): ApiRoute {
  const { params, query, body, answers, handle, description, errors = {} } = definition;
  return {
    ...definition,
    params,
    query,
    body,
    description,
    errors,
    run: async (raw) => {
      const problems: RequestProblem[] = [];
      const read = (where: string, schema: z.ZodType | undefined, value: unknown): unknown => {
        if (schema === undefined) return undefined;
        const parsed = schema.safeParse(value);
        if (parsed.success) return parsed.data;
        problems.push(
          ...problemsAt(where, parsed.error, schema instanceof z.ZodObject ? Object.keys(schema.shape) : []),
        );
        return undefined;
      };
      const call = {
        params: read("path", params, raw.params),
        query: read("query", query, raw.query),
        body: read("body", body, raw.body),
        caller: raw.caller,
      };
      if (problems.length > 0) throw requestInvalid(problems);
      // sound: each part is the output of its own schema
      const answer = await handle(call as CallOf<Params, Query, Body>);
      return written(answers, answer);
    },
  };
}

/** The answer as bytes. What the schema does not name is left out, so that no secret leaves by an oversight. */
function written(
  shapes: AnswerShapes,
  answer: { readonly status: unknown; readonly headers?: ApiAnswer["headers"]; readonly body?: unknown },
): ApiAnswer {
  const status = Number(answer.status);
  const shape = shapes[status];
  if (shape === undefined) throw new TypeError(`the route answers ${status}, which it does not declare`);
  const head = { status, headers: answer.headers ?? {} };
  if (shape.kind === "empty") return { ...head, contentType: undefined, body: undefined };
  if (shape.kind === "bytes") {
    return { ...head, contentType: shape.contentType, body: answer.body instanceof Buffer ? answer.body : undefined };
  }
  return {
    ...head,
    contentType: "application/json; charset=utf-8",
    body: JSON.stringify(shape.schema.parse(answer.body)),
  };
}
