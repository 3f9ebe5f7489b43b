import type { ErrorCode } from "@warren/contracts";
import { parseRetryAfter } from "@warren/resilience";
import type { Dispatcher } from "undici";
import { AddressRefusedError } from "./errors.ts";

/** What came of one HTTP exchange. Headers are names and values in turn. */
export type Exchange =
  | {
      readonly kind: "answered";
      readonly status: number;
      readonly headers: readonly string[];
      /** Up to the limit. */
      readonly body: Buffer;
      readonly truncated: boolean;
      readonly retryAfterMs: number | undefined;
      readonly durationMs: number;
    }
  | {
      readonly kind: "unanswered";
      readonly reason: Extract<ErrorCode, "DELIVERY_TIMEOUT" | "DELIVERY_UNREACHABLE" | "ENDPOINT_ADDRESS_REFUSED">;
      readonly detail: string;
      readonly durationMs: number;
    };

export interface ExchangeRequest {
  readonly dispatcher: Pick<Dispatcher, "request">;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** For everything: connecting, sending, the whole answer. */
  readonly timeoutMs: number;
  readonly maxResponseBytes: number;
  /** Ends the exchange for another reason than time. */
  readonly signal: AbortSignal;
}

/**
 * POSTs once and reads the answer up to a limit. Redirects are answers like others.
 * @throws the signal's reason when it aborts; nothing else.
 */
export async function exchange(request: ExchangeRequest): Promise<Exchange> {
  const { dispatcher, timeoutMs, signal } = request;
  const startedAt = performance.now();
  const timeout = AbortSignal.timeout(timeoutMs);
  const url = new URL(request.url);
  const ended = AbortSignal.any([timeout, signal]);
  try {
    const answer = await unlessAborted(
      dispatcher.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method: "POST",
        headers: request.headers,
        body: request.body,
        headersTimeout: 0,
        bodyTimeout: 0,
        signal: ended,
      }),
      ended,
    );
    const { body, truncated } = await readUpTo(answer.body, request.maxResponseBytes);
    return {
      kind: "answered",
      status: answer.statusCode,
      headers: Object.entries(answer.headers).flatMap(([name, value = ""]) =>
        (Array.isArray(value) ? value : [value]).flatMap((one) => [name, one]),
      ),
      body,
      truncated,
      retryAfterMs: parseRetryAfter(answer.headers["retry-after"], Date.now()),
      durationMs: performance.now() - startedAt,
    };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const durationMs = performance.now() - startedAt;
    if (error instanceof AddressRefusedError) {
      return { kind: "unanswered", reason: "ENDPOINT_ADDRESS_REFUSED", detail: error.message, durationMs };
    }
    const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
    if (timeout.aborted || code === "UND_ERR_CONNECT_TIMEOUT") {
      const detail = `no whole answer within ${timeoutMs} ms`;
      return { kind: "unanswered", reason: "DELIVERY_TIMEOUT", detail, durationMs };
    }
    return { kind: "unanswered", reason: "DELIVERY_UNREACHABLE", detail: describe(error), durationMs };
  }
}

/** A connection that is being made does not heed the signal. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    // whoever lost the race has nobody else to tell
    work.catch(() => undefined);
  }
}

async function readUpTo(
  stream: AsyncIterable<unknown>,
  maxBytes: number,
): Promise<{ readonly body: Buffer; readonly truncated: boolean }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError("expected bytes");
    chunks.push(chunk);
    size += chunk.byteLength;
    // leaving the loop destroys the stream, and with it the connection
    if (size > maxBytes) break;
  }
  return { body: Buffer.concat(chunks).subarray(0, maxBytes), truncated: size > maxBytes };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error instanceof AggregateError ? error.errors.map(describe).join("; ") : "";
  const code: unknown = Reflect.get(error, "code");
  return [typeof code === "string" && !error.message.includes(code) ? code : "", error.message, inner]
    .filter((part) => part !== "")
    .join(": ");
}
