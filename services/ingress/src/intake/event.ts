import type { ProviderName } from "../sources/providers.ts";
import { parseJson } from "../verify/json.ts";

/** An authentic event, as routes see it. */
export interface WebhookEvent {
  /** Warren's id of the stored request. */
  readonly requestId: string;
  readonly source: string;
  readonly provider: ProviderName;
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  readonly receivedAt: Date;
  /** The parsed body, `undefined` when it is not JSON. Parsed at most once, and only if somebody asks. */
  readonly payload: () => unknown;
}

export function payloadOf(body: Buffer, parsed: unknown): () => unknown {
  if (parsed !== undefined) return () => parsed;
  let payload: { readonly value: unknown } | undefined;
  return () => {
    payload ??= { value: parseJson(body) };
    return payload.value;
  };
}
