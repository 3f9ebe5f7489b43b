import {
  type Effect,
  ProviderError,
  type ProviderErrorOptions,
  ProviderRateLimitedError,
  ProviderRejectedError,
  type ProviderResponse,
  ProviderUnavailableError,
} from "./provider-error.ts";

/** Failures before a request could leave: the provider certainly did nothing. */
const neverSent = new Set([
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Failures on a connection that stood: the request may have arrived. */
const brokenOff = new Set([
  "ECONNABORTED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_CLOSED",
  "UND_ERR_DESTROYED",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_SOCKET",
]);

/** Statuses that say "not now" rather than "no": RFC 9110 §15.5.9 (408), RFC 8470 §5.2 (425), RFC 6585 §4 (429), all 5xx. */
export function isRetryableStatus(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** The code of a failed connection, looked for in the error, its cause and the errors of several tried addresses. */
function networkEffect(error: unknown, depth = 0): { readonly code: string; readonly effect: Effect } | undefined {
  if (!(error instanceof Error) || depth > 3) return undefined;
  const code: unknown = Reflect.get(error, "code");
  if (typeof code === "string" && neverSent.has(code)) return { code, effect: "none" };
  if (typeof code === "string" && brokenOff.has(code)) return { code, effect: "unknown" };
  const inner: unknown[] = error instanceof AggregateError ? error.errors : [error.cause];
  for (const one of inner) {
    const found = networkEffect(one, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Turns a failed connection into a {@link ProviderUnavailableError}. Anything that is no failure of the network (a mistake in our
 * own code) comes back as it is: it must neither open a breaker nor be repeated.
 */
export function classifyNetworkError(error: unknown, options: ProviderErrorOptions): unknown {
  if (error instanceof ProviderError) return error;
  const failure = networkEffect(error);
  if (failure === undefined) return error;
  return new ProviderUnavailableError(`connection failed (${failure.code})`, {
    ...options,
    cause: error,
    effect: failure.effect,
    details: { networkCode: failure.code, ...options.details },
  });
}

/** What a status means; `undefined` for 2xx. Redirects are not followed (a provider's API has no business there) and count as refused. */
export function classifyStatus(
  response: ProviderResponse,
  options: ProviderErrorOptions,
  alsoRetryable: readonly number[] = [],
): ProviderError | undefined {
  const status = response.status;
  if (status >= 200 && status < 300) return undefined;
  const withStatus = { ...options, details: { status, ...options.details } };
  if (status === 429) return new ProviderRateLimitedError(withStatus);
  if (isRetryableStatus(status) || alsoRetryable.includes(status)) {
    return new ProviderUnavailableError(`answered ${status}`, { ...withStatus, effect: "unknown" });
  }
  return new ProviderRejectedError(`answered ${status}`, { ...withStatus, response });
}

/** The longest wait a provider may ask for; more is taken as this. */
const maxRetryAfterMs = 24 * 60 * 60 * 1000;

/**
 * Reads `Retry-After`: seconds or an HTTP date (RFC 9110 §10.2.3), as milliseconds from `nowMs`. A date in the past is 0;
 * nonsense is `undefined`; more than a day is a day.
 */
export function parseRetryAfter(header: string | readonly string[] | undefined, nowMs: number): number | undefined {
  const text = (typeof header === "string" ? header : header?.[0])?.trim();
  if (text === undefined || text === "") return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(Math.ceil(Number(text) * 1000), maxRetryAfterMs);
  if (!/^[A-Za-z]{3,9},? /.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - nowMs), maxRetryAfterMs);
}
