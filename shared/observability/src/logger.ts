import pino from "pino";
import { currentContext } from "./context.ts";
import { redact, redactFields } from "./redaction.ts";
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

/**
 * A JSON logger: one line an event, time in ISO 8601 UTC, level as a word, correlation id and trace id from the context,
 * payloads and secrets redacted by name at any depth (see `redaction.ts`), credentials cut out of URLs.
 */
export function createLogger(options: LoggerOptions): Logger {
  const extra = new Set(options.redact);
  return pino(
    {
      level: options.level,
      base: { service: options.service, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: contextFields,
      serializers: { err: (error: unknown) => redact(error, extra) },
      formatters: {
        level: (label) => ({ level: label }),
        bindings: (bindings) => redactFields(bindings, extra),
        log: (fields) => redactFields(fields, extra),
      },
    },
    options.destination ?? pino.destination({ fd: 1, sync: true }),
  );
}
