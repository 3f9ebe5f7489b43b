export type { BreakerOptions, BreakerState } from "./breaker.ts";
export { type Cache, type CacheOptions, type CacheRequest, type CacheStore, createCache } from "./cache.ts";
export { classifyNetworkError, classifyStatus, isRetryableStatus, parseRetryAfter } from "./classify.ts";
export type { RequestBody } from "./http-body.ts";
export {
  createHttpClient,
  type HttpClient,
  type HttpClientOptions,
  type HttpMethod,
  type HttpRequest,
  type HttpResponse,
  type ResponseSchema,
} from "./http-client.ts";
export { joinUrl, path, type Query } from "./http-url.ts";
export { type MemoryStoreOptions, memoryStore } from "./memory-store.ts";
export type { Attempt, CallOptions, Operation, OperationOptions, RetryOptions } from "./operation.ts";
export { type BreakerChange, createProvider, type Provider, type ProviderOptions } from "./provider.ts";
export {
  type Effect,
  ProviderBreakerOpenError,
  ProviderBulkheadFullError,
  ProviderError,
  type ProviderErrorCode,
  type ProviderErrorOptions,
  ProviderRateLimitedError,
  ProviderRejectedError,
  type ProviderResponse,
  ProviderResponseInvalidError,
  ProviderTimeoutError,
  ProviderUnavailableError,
} from "./provider-error.ts";
