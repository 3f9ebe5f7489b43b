import { createHash } from "node:crypto";
import type { publishWebhookPayload, publishWebhookResult } from "@warren/contracts";
import { type Client, deliverWebhook, type Job, matchesPattern } from "@warren/jobs";
import type { EndpointStore } from "@warren/ledger";
import type { z } from "zod";

export interface FanOutOptions {
  readonly endpoints: Pick<EndpointStore, "enabled">;
  readonly client: Pick<Client, "enqueueMany">;
}

type PublishJob = Pick<
  Job<z.output<typeof publishWebhookPayload>, z.infer<typeof publishWebhookResult>>,
  "payload" | "correlationId"
>;

/**
 * Handles `publish-webhook`: a delivery for every enabled endpoint that wants the type. An event has one delivery an endpoint, however
 * often it is published, for as long as the ledger remembers the first.
 */
export function fanOutHandler({ endpoints, client }: FanOutOptions) {
  return async ({ payload, correlationId }: PublishJob): Promise<{ endpoints: number }> => {
    const wanting = (await endpoints.enabled()).filter(({ eventTypes }) => wants(eventTypes, payload.eventType));
    const items = wanting.map(({ id }) => ({
      payload: { ...payload, endpoint: id },
      id: fanOutId(payload.eventId, id),
      correlationId,
    }));
    await client.enqueueMany(deliverWebhook, items);
    return { endpoints: items.length };
  };
}

/** No patterns: every type. */
function wants(patterns: readonly string[], type: string): boolean {
  return patterns.length === 0 || patterns.some((pattern) => matchesPattern(pattern, type));
}

function fanOutId(eventId: string, endpoint: string): string {
  return `event:${createHash("sha256").update(eventId).digest("base64url")}:${endpoint}`;
}
