import { AmqpError } from "./errors.ts";
import type { PublisherOptions } from "./publisher.ts";
import type { SessionOptions } from "./session.ts";

const defaultHeartbeatSeconds = 5;
const mebibyte = 1_048_576;

export type ResolvedSessionOptions = {
  readonly [K in Exclude<keyof SessionOptions, "metrics">]-?: NonNullable<SessionOptions[K]>;
} & { readonly metrics: SessionOptions["metrics"] | undefined };

/** Checks and fills in what `openSession` was given; inside there are no defaults. */
export function resolveSessionOptions(options: SessionOptions): ResolvedSessionOptions {
  const { urls, name, log, metrics, heartbeatSeconds = defaultHeartbeatSeconds, onFatal, random, now } = options;
  if (urls.length === 0) throw invalid("urls", "at least one amqp:// or amqps:// URL");
  for (const url of urls) {
    const protocol = URL.canParse(url) ? new URL(url).protocol : undefined;
    // The URL itself is not repeated: it carries the password.
    if (protocol !== "amqp:" && protocol !== "amqps:")
      throw invalid("urls", "URLs such as amqp://user:password@host:5672");
  }
  if (!Number.isInteger(heartbeatSeconds) || heartbeatSeconds < 1 || heartbeatSeconds > 600) {
    throw invalid("heartbeatSeconds", "a whole number of seconds from 1 to 600");
  }
  return {
    urls,
    name,
    log,
    metrics,
    heartbeatSeconds,
    onFatal: onFatal ?? (() => undefined),
    random: random ?? Math.random,
    now: now ?? (() => new Date()),
  };
}

export function resolvePublisherOptions(options: PublisherOptions): Required<PublisherOptions> {
  const resolved = {
    maxInFlight: 1_000,
    maxInFlightBytes: 16 * mebibyte,
    deadlineMs: 10_000,
    maxBodyBytes: 16 * mebibyte,
    ...options,
  };
  for (const [name, value] of Object.entries(resolved)) {
    if (!Number.isFinite(value) || value < 1) throw invalid(name, "a number of at least 1");
  }
  return resolved;
}

function invalid(option: string, expected: string): AmqpError {
  return new AmqpError("AMQP_OPTION_INVALID", `${option}: expected ${expected}`, { details: { option } });
}
