import { logLevels } from "@warren/observability";
import { z } from "zod";

const scheme = (text: string, ...allowed: readonly string[]) =>
  URL.canParse(text) && allowed.includes(new URL(text).protocol) && new URL(text).hostname !== "";

const port = z.coerce.number().int().min(0).max(65_535);

export const logLevel = z
  .enum(logLevels)
  .default("info")
  .describe(`one of ${logLevels.join(", ")}`);

/** Settings of every service; `port` is the service's own default. */
export function processConfig(defaultPort: number) {
  return z.object({
    PORT: port.default(defaultPort).describe("a port number, 0 to 65535 (0: any free one)"),
    HOST: z.string().default("0.0.0.0").describe("the address to listen on, such as 127.0.0.1"),
    LOG_LEVEL: logLevel,
    WARREN_SHUTDOWN_TIMEOUT_MS: z.coerce
      .number()
      .int()
      .min(0)
      .max(3_600_000)
      .default(20_000)
      .describe("milliseconds to finish running work in after SIGTERM, 0 to 3600000"),
    OTEL_EXPORTER_OTLP_ENDPOINT: z
      .string()
      .refine((text) => scheme(text, "http:", "https:"))
      .optional()
      .describe("the base URL of an OpenTelemetry collector, such as http://localhost:4318"),
    OTEL_TRACES_SAMPLER_ARG: z.coerce
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe("the share of traces to record, 0 to 1"),
    OTEL_SERVICE_NAME: z.string().optional().describe("the service's name in traces"),
    OTEL_SDK_DISABLED: z.enum(["true", "false"]).default("false").describe("true or false"),
  });
}

/** Settings of a service that uses the ledger. */
export const ledgerConfig = z.object({
  DATABASE_URL: z
    .string()
    .refine((text) => scheme(text, "postgres:", "postgresql:"))
    .describe("a Postgres URL, such as postgres://user:password@host:5432/database"),
  WARREN_SCHEMA: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/)
    .default("warren")
    .describe("a schema name of lower-case letters, digits and underscores"),
  WARREN_DATABASE_POOL: z.coerce
    .number()
    .int()
    .min(1)
    .max(500)
    .default(8)
    .describe("how many connections to Postgres, 1 to 500"),
});

/** Settings of a service that uses the broker. */
export const amqpConfig = z.object({
  AMQP_URL: z
    .string()
    .transform((text) =>
      text
        .split(",")
        .map((url) => url.trim())
        .filter((url) => url !== ""),
    )
    .refine((urls) => urls.length > 0 && urls.every((url) => scheme(url, "amqp:", "amqps:")))
    .describe(
      "a RabbitMQ URL, or several of one cluster with commas between, such as amqp://user:password@host:5672/vhost",
    ),
});

export type ProcessConfig = z.output<ReturnType<typeof processConfig>>;
export type LedgerConfig = z.output<typeof ledgerConfig>;
export type AmqpConfig = z.output<typeof amqpConfig>;
