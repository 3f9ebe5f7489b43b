import type { Row } from "../postgres/database.ts";
import { uuidBound } from "../uuid-bounds.ts";

export type WebhookDeliveryState = "pending" | "sending" | "delivered" | "failed";

/** What a delivery is, before it is tried for the first time. */
export interface NewWebhookDelivery {
  readonly id: string;
  readonly endpointId: string;
  /** The job that tries it. */
  readonly jobId: string;
  readonly eventType: string;
  readonly eventId: string;
  /** The header `webhook-id`, the same in every try. */
  readonly webhookId: string;
  /** What every try sends. */
  readonly body: string;
}

/** What an endpoint answered. Headers are names and values in turn. */
export interface WebhookAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly truncated: boolean;
}

export interface WebhookDeliveryRecord extends NewWebhookDelivery {
  readonly state: WebhookDeliveryState;
  readonly attempts: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly nextAt: Date | undefined;
  readonly reason: string | undefined;
}

export interface WebhookAttemptRecord {
  readonly number: number;
  readonly jobId: string;
  readonly startedAt: Date;
  readonly durationMs: number | undefined;
  /** `lost`: its worker died before the answer was written down; the endpoint may have had it. */
  readonly outcome: "sending" | "delivered" | "failed" | "lost";
  readonly reason: string | undefined;
  readonly detail: string | undefined;
  readonly url: string;
  readonly address: string | undefined;
  readonly requestHeaders: readonly string[];
  readonly response: WebhookAnswer | undefined;
}

export interface DeliveryFilter {
  readonly endpointId?: string | undefined;
  readonly state?: WebhookDeliveryState | undefined;
  readonly eventId?: string | undefined;
  readonly eventType?: string | undefined;
  /** Made at this instant or later. */
  readonly since?: Date | undefined;
  /** Older than the delivery of this id. */
  readonly before?: string | undefined;
}

/** The filter as conditions with their values, `$1` on. */
export function conditionsOf(filter: DeliveryFilter): {
  readonly where: readonly string[];
  readonly values: readonly unknown[];
} {
  const given: readonly (readonly [text: string, value: unknown])[] = [
    ["endpoint_id =", filter.endpointId],
    ["state =", filter.state],
    ["event_id =", filter.eventId],
    ["event_type =", filter.eventType],
    ["id >=", filter.since === undefined ? undefined : uuidBound(Math.max(0, filter.since.getTime()))],
    ["id <", filter.before],
  ];
  const set = given.filter(([, value]) => value !== undefined);
  return { where: set.map(([text], index) => `${text} $${index + 1}`), values: set.map(([, value]) => value) };
}

export function deliveryOf(row: Row): WebhookDeliveryRecord {
  return {
    id: String(row["id"]),
    endpointId: String(row["endpoint_id"]),
    jobId: String(row["job_id"]),
    eventType: String(row["event_type"]),
    eventId: String(row["event_id"]),
    webhookId: String(row["webhook_id"]),
    body: String(row["body"]),
    state: row["state"] as WebhookDeliveryState,
    attempts: Number(row["attempts"]),
    createdAt: row["created_at"] as Date,
    updatedAt: row["updated_at"] as Date,
    nextAt: row["next_at"] instanceof Date ? row["next_at"] : undefined,
    reason: typeof row["reason"] === "string" ? row["reason"] : undefined,
  };
}

export function attemptOf(row: Row): WebhookAttemptRecord {
  return {
    number: Number(row["number"]),
    jobId: String(row["job_id"]),
    startedAt: row["started_at"] as Date,
    durationMs: typeof row["duration_ms"] === "number" ? row["duration_ms"] : undefined,
    outcome: row["outcome"] as WebhookAttemptRecord["outcome"],
    reason: typeof row["reason"] === "string" ? row["reason"] : undefined,
    detail: typeof row["detail"] === "string" ? row["detail"] : undefined,
    url: String(row["url"]),
    address: typeof row["address"] === "string" ? row["address"] : undefined,
    requestHeaders: Array.isArray(row["request_headers"]) ? row["request_headers"].map(String) : [],
    response:
      typeof row["response_status"] === "number"
        ? {
            status: row["response_status"],
            headers: Array.isArray(row["response_headers"]) ? row["response_headers"].map(String) : [],
            body: Buffer.isBuffer(row["response_body"]) ? row["response_body"] : Buffer.alloc(0),
            truncated: row["response_truncated"] === true,
          }
        : undefined,
  };
}
