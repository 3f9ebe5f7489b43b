import type { Ledger } from "../ledger.ts";
import type { Row } from "../postgres/database.ts";
import type { RunSql } from "../postgres/sql.ts";
import { uuidBound } from "../uuid-bounds.ts";
import { deliveryStatements } from "./deliveries-sql.ts";

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

/** Leave to send once. The body is that of the first try, whatever the caller would send now. */
export interface BegunAttempt {
  readonly number: number;
  readonly webhookId: string;
  readonly body: string;
}

/** What came of a try. Headers are names and values in turn. */
export interface AttemptReport {
  readonly deliveryId: string;
  readonly number: number;
  readonly outcome: "delivered" | "failed";
  /** An error code. */
  readonly reason: string | undefined;
  readonly detail: string | undefined;
  readonly durationMs: number;
  readonly address: string | undefined;
  readonly requestHeaders: readonly string[] | undefined;
  readonly response:
    | {
        readonly status: number;
        readonly headers: readonly string[];
        readonly body: Buffer;
        readonly truncated: boolean;
      }
    | undefined;
  /** When it is tried again; `undefined`: never, unless somebody asks. */
  readonly retryInMs: number | undefined;
}

/** What is known of an endpoint after a try. */
export interface EndpointFailure {
  /** Tries in a row that found it away or overloaded, this one included. */
  readonly outages: number;
  readonly failingSince: Date;
  readonly failingMs: number;
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
  readonly response:
    | {
        readonly status: number;
        readonly headers: readonly string[];
        readonly body: Buffer;
        readonly truncated: boolean;
      }
    | undefined;
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

/** Outbound deliveries and their tries. */
export interface WebhookDeliveryStore {
  /** Right before sending. `undefined`: not this job's, or delivered before; do not send. */
  begin(delivery: NewWebhookDelivery, url: string): Promise<BegunAttempt | undefined>;
  /** Nothing is sent, and `reason` says why. */
  refuse(delivery: NewWebhookDelivery, reason: string): Promise<void>;
  /** Repeating it is harmless. */
  settle(report: AttemptReport): Promise<void>;
  /** Answers how many outages in a row ended with it. */
  succeeded(endpointId: string): Promise<number>;
  /** `outage`: it was away or overloaded, rather than saying no. `undefined`: the endpoint is gone or disabled. */
  failed(endpointId: string, outage: boolean): Promise<EndpointFailure | undefined>;
  find(id: string): Promise<WebhookDeliveryRecord | undefined>;
  /** Newest first. */
  list(filter: DeliveryFilter, limit: number): Promise<readonly WebhookDeliveryRecord[]>;
  /** Newest first; `before` is a number. */
  attempts(deliveryId: string, limit: number, before?: number): Promise<readonly WebhookAttemptRecord[]>;
  /** Hands a delivery from a job that has ended to another one. `false`: somebody was faster. */
  take(id: string, jobs: { readonly from: string; readonly to: string }, run: RunSql): Promise<boolean>;
}

const longestDetail = 2_000;

/** Outbound deliveries over one ledger. Errors are the ledger's. */
export function createWebhookDeliveries(ledger: Pick<Ledger, "query" | "run" | "table">): WebhookDeliveryStore {
  const sql = deliveryStatements(ledger.table);

  return {
    async begin(delivery, url) {
      const [row] = await ledger.run(sql.begin, [...identity(delivery), url]);
      if (row === undefined) return undefined;
      return { number: Number(row["attempts"]), webhookId: String(row["webhook_id"]), body: String(row["body"]) };
    },
    async refuse(delivery, reason) {
      await ledger.run(sql.refuse, [...identity(delivery), reason]);
    },
    async settle(report) {
      await ledger.run(sql.settle, settlementValues(report));
    },
    async succeeded(endpointId) {
      const [row] = await ledger.run(sql.succeeded, [endpointId]);
      return Number(row?.["outages"] ?? 0);
    },
    async failed(endpointId, outage) {
      const [row] = await ledger.run(sql.failed, [endpointId, outage]);
      if (row === undefined || row["state"] !== "enabled") return undefined;
      return {
        outages: Number(row["outages"]),
        failingSince: row["failing_since"] as Date,
        failingMs: Number(row["failing_ms"]),
      };
    },
    async find(id) {
      const { rows } = await ledger.query(sql.find, [id]);
      return rows.map(deliveryOf)[0];
    },
    async list(filter, limit) {
      const { where, values } = conditionsOf(filter);
      const { rows } = await ledger.query(sql.list(where, limit), values);
      return rows.map(deliveryOf);
    },
    async attempts(deliveryId, limit, before) {
      const { rows } = await ledger.query(sql.attempts, [deliveryId, limit, before ?? null]);
      return rows.map(attemptOf);
    },
    async take(id, { from, to }, run) {
      const { rows } = await run(sql.take, [id, from, to]);
      return rows.length > 0;
    },
  };
}

function identity(given: NewWebhookDelivery): readonly unknown[] {
  const { id, endpointId, jobId, eventType, eventId, webhookId, body } = given;
  return [id, endpointId, jobId, eventType, eventId, webhookId, body];
}

function settlementValues(report: AttemptReport): readonly unknown[] {
  const { response, retryInMs } = report;
  const state = report.outcome === "delivered" ? "delivered" : retryInMs === undefined ? "failed" : "pending";
  return [
    report.deliveryId,
    report.number,
    report.outcome,
    report.reason ?? null,
    report.detail === undefined ? null : storable(report.detail.slice(0, longestDetail)),
    Math.round(report.durationMs),
    response?.status ?? null,
    response?.truncated ?? null,
    report.address ?? null,
    report.requestHeaders === undefined ? null : JSON.stringify(report.requestHeaders),
    response === undefined ? null : JSON.stringify(response.headers),
    response?.body ?? null,
    state,
    retryInMs ?? null,
  ];
}

function conditionsOf(filter: DeliveryFilter): {
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

/** Postgres keeps no U+0000 in text. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll("\u0000", "\uFFFD");
}

function deliveryOf(row: Row): WebhookDeliveryRecord {
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

function attemptOf(row: Row): WebhookAttemptRecord {
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
