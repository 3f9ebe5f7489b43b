import { createHash } from "node:crypto";
import type { publishWebhookPayload, publishWebhookResult } from "@warren/contracts";
import { type Client, deliverWebhook, type Job, matchesPattern } from "@warren/jobs";
import type { EndpointStore } from "@warren/ledger";
import type { z } from "zod";

export interface FanOutOptions {
  readonly endpoints: Pick<EndpointStore, "enabled">;
  readonly client: Pick<Client, "enqueueMany">;
}

/** A portion is one transaction, whole in the memory of this process and of Postgres, and every delivery carries the payload. */
const mostPerPortion = 500;
const portionBytes = 8_388_608;

type PublishJob = Pick<
  Job<z.output<typeof publishWebhookPayload>, z.infer<typeof publishWebhookResult>>,
  "payload" | "correlationId" | "signal"
>;

/**
 * Handles `publish-webhook`: a delivery for every enabled endpoint that wants the type. An event has one delivery an endpoint, however
 * often it is published, for as long as the ledger remembers the first; so a fan-out that ended in the middle is taken up by doing it again.
 */
export function fanOutHandler({ endpoints, client }: FanOutOptions) {
  return async ({ payload, correlationId, signal }: PublishJob): Promise<{ endpoints: number }> => {
    const wanting = (await endpoints.enabled()).filter(({ eventTypes }) => wants(eventTypes, payload.eventType));
    const items = wanting.map(({ id }) => ({
      payload: { ...payload, endpoint: id },
      id: fanOutId(payload.eventId, id),
      correlationId,
    }));
    const fitting = Math.floor(portionBytes / Buffer.byteLength(JSON.stringify(payload)));
    const portion = Math.max(1, Math.min(mostPerPortion, fitting));
    for (let start = 0; start < items.length; start += portion) {
      signal.throwIfAborted();
      await client.enqueueMany(deliverWebhook, items.slice(start, start + portion));
    }
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
