import pino from "pino";
import { currentContext } from "./context.ts";
import { redactFields, scrub } from "./redaction.ts";
import { parseTraceparent } from "./traceparent.ts";

/** A pino logger. Put facts into the object, the event into the message: `log.info({ queue, jobs: 3 }, "jobs released")`. */
export type Logger = pino.Logger;

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LoggerOptions {
  /** Appears in every line as `service`. */
  readonly service: string;
  readonly level: LogLevel;
  /** Further names whose values are never logged, at any depth, exactly as written. */
  readonly redact?: readonly string[];
  /** Where lines go. Default: standard output, written at once, so that no line is lost when the process dies. */
  readonly destination?: pino.DestinationStream;
}

/** The context of the running work, as fields of a log line. */
function contextFields(): object {
  const context = currentContext();
  if (context === undefined) return {};
  const trace = parseTraceparent(context.traceparent);
  return {
    ...(context.correlationId === undefined ? {} : { correlationId: context.correlationId }),
    ...(trace === undefined ? {} : { traceId: trace.traceId, spanId: trace.spanId }),
  };
}

/** Requests and responses are shown by a few fields; a query may hold secrets and stays out. Fastify takes these over. */
const httpSerializers = {
  err: (error: unknown) => error,
  req: (request: { readonly method?: unknown; readonly url?: unknown }) => ({
    method: request.method,
    path: typeof request.url === "string" ? request.url.split("?")[0] : undefined,
  }),
  res: (response: { readonly statusCode?: unknown }) => ({ statusCode: response.statusCode }),
};

/** A line's own fields; `req` and `res` are left to their serializers, which run later. */
function redactLine(fields: Readonly<Record<string, unknown>>, extra: ReadonlySet<string>): Record<string, unknown> {
  const { req, res, ...rest } = fields;
  return {
    ...redactFields(rest, extra),
    ...(req === undefined ? {} : { req }),
    ...(res === undefined ? {} : { res }),
  };
}

/**
 * A JSON logger: one line an event, time in ISO 8601 UTC, level as a word, correlation id and trace id from the context,
 * payloads and secrets redacted by name at any depth (see `redaction.ts`), credentials cut out of URLs.
 */
export function createLogger(options: LoggerOptions): Logger {
  const extra = new Set(options.redact);
  const logger: Logger = pino(
    {
      level: options.level,
      base: { service: options.service, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: contextFields,
      formatters: { level: (label) => ({ level: label }), log: (fields) => redactLine(fields, extra) },
      hooks: {
        logMethod(args, method) {
          Reflect.apply(method, this, cleanTexts(args));
        },
      },
      serializers: httpSerializers,
    },
    options.destination ?? pino.destination({ fd: 1, sync: true }),
  );
  // pino formats the bindings of the root only: those of its children, and theirs, come through here
  // oxlint-disable-next-line typescript/unbound-method -- applied to its own `this` below
  const child = logger.child;
  Object.defineProperty(logger, "child", {
    value(this: Logger, bindings: pino.Bindings, childOptions: pino.ChildLoggerOptions | undefined): unknown {
      return Reflect.apply(child, this, [redactFields(bindings, extra), childOptions]);
    },
  });
  return logger;
}

/** Scrubs the texts of a call; and names the message of a lone error, which pino would otherwise take as it is, credentials and all. */
function cleanTexts(args: readonly unknown[]): unknown[] {
  const [first, message, ...values] = args.map((arg) => (typeof arg === "string" ? scrub(arg) : arg));
  if (message !== undefined || typeof first !== "object" || first === null) return [first, message, ...values];
  const error: unknown = first instanceof Error ? first : Reflect.get(first, "err");
  return error instanceof Error ? [{ ...(error === first ? { err: error } : first) }, scrub(error.message)] : [first];
}
