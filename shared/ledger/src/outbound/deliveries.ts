import type { Ledger } from "../ledger.ts";
import type { RunSql } from "../postgres/sql.ts";
import { deliveryStatements } from "./deliveries-sql.ts";
import {
  attemptOf,
  conditionsOf,
  type DeliveryFilter,
  deliveryOf,
  type NewWebhookDelivery,
  type WebhookAnswer,
  type WebhookAttemptRecord,
  type WebhookDeliveryRecord,
} from "./delivery-records.ts";

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
  readonly response: WebhookAnswer | undefined;
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

/** Postgres keeps no U+0000 in text. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll("\u0000", "\uFFFD");
}
