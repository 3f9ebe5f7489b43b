import { LedgerError, mayBeOneItem } from "../errors.ts";
import type { Ledger } from "../ledger.ts";
import { createBatcher } from "../postgres/batcher.ts";
import { beginDeliveries, deliveriesOfJob, resolveDelivery, settleDeliveries } from "./deliveries-sql.ts";

/**
 * What to do about a delivery whose outcome nobody knows (the attempt died, or the answer never came):
 * - `resend`: send it again under the same message id. For channels where a double is better than a loss: email.
 * - `hold`: leave it to a person.
 * - `give_up`: leave it at that. For channels where a double is worse than a loss: one-time codes.
 */
export type UnknownPolicy = "resend" | "hold" | "give_up";

export interface NewDelivery {
  readonly jobId: string;
  /** `email`, `sms`, `push`: a job sends at most one message a channel. */
  readonly channel: string;
  /** The job's attempt: the fence. */
  readonly attempt: number;
  readonly policy: UnknownPolicy;
  readonly template: string;
  readonly templateVersion: number;
  readonly locale: string;
  /** The provider that is about to be called: `smtp`. */
  readonly provider: string;
  /** The address, masked. */
  readonly recipient: string;
  /** A keyed hash of the address. */
  readonly recipientHash: Buffer;
  /** The id that the message carries in every try. */
  readonly messageId: string;
  readonly correlationId: string;
}

/** Whether this attempt may call the provider. */
export type BeginVerdict =
  /** Call it. `doubts`: earlier tries that may have been delivered; `doubted`: this attempt found its predecessor lost. */
  | { readonly kind: "send"; readonly tries: number; readonly doubts: number; readonly doubted: boolean }
  /** Do not: an earlier attempt succeeded. */
  | { readonly kind: "accepted_before"; readonly providerId: string | undefined; readonly response: string | undefined }
  /** Do not: the provider refused it for good. */
  | { readonly kind: "rejected_before"; readonly response: string | undefined }
  /** Do not: nobody knows, and the policy says so. */
  | { readonly kind: "held" | "given_up"; readonly doubted: boolean }
  /** Do not: a newer attempt owns it. */
  | { readonly kind: "fenced" };

/** `deferred`: surely not delivered, may be tried again. `unknown`: the provider may have taken it. */
export type DeliveryOutcome = "accepted" | "rejected" | "deferred" | "unknown";

export interface DeliverySettlement {
  readonly jobId: string;
  readonly channel: string;
  readonly attempt: number;
  readonly outcome: DeliveryOutcome;
  /** The provider's own id of the message. */
  readonly providerId?: string | undefined;
  /** The provider's answer; kept up to `maxResponseLength` characters. */
  readonly response?: string | undefined;
  /** An error code. */
  readonly reason?: string | undefined;
}

/** `already`: this attempt had settled so before. `late`: a newer attempt has begun; the answer was noted. `fenced`: nothing was changed. */
export type DeliverySettled = "applied" | "already" | "late" | "fenced";

export interface DeliveryRecord {
  readonly jobId: string;
  readonly channel: string;
  readonly state: "sending" | "accepted" | "rejected" | "deferred" | "unknown" | "given_up";
  readonly policy: UnknownPolicy;
  readonly attempt: number;
  readonly tries: number;
  readonly doubts: number;
  readonly template: string;
  readonly templateVersion: number;
  readonly locale: string;
  readonly provider: string;
  readonly recipient: string;
  readonly messageId: string;
  readonly providerId: string | undefined;
  readonly response: string | undefined;
  readonly reason: string | undefined;
  readonly correlationId: string;
  readonly createdAt: Date;
  readonly startedAt: Date;
  readonly settledAt: Date | undefined;
  readonly log: readonly Readonly<Record<string, unknown>>[];
}

/** The deliveries ledger: written before a provider is called and after it answered, and the audit of both. */
export interface Deliveries {
  /** Writes the row (`sending`) and says whether to call the provider. Call it once an attempt, right before the provider. */
  begin(delivery: NewDelivery): Promise<BeginVerdict>;
  /** Writes what came of it. Repeating it is harmless. */
  settle(settlement: DeliverySettlement): Promise<DeliverySettled>;
  /** A person's decision about an `unknown` delivery: it was delivered, or it is to be sent when the job is retried. `false`: nothing to decide. */
  resolve(jobId: string, channel: string, as: "accepted" | "deferred"): Promise<boolean>;
  ofJob(jobId: string): Promise<readonly DeliveryRecord[]>;
}

const maxResponseLength = 1_000;

type Row = Readonly<Record<string, unknown>>;
/** Two attempts of one job in one batch: the statement refuses to touch a row twice. */
const cardinalityViolation = "21000";

const splitOn = (error: unknown): boolean =>
  mayBeOneItem(error) || (error instanceof LedgerError && error.details["sqlState"] === cardinalityViolation);

/** Deliveries over one ledger. Concurrent calls share a statement. Errors are the ledger's. */
export function createDeliveries(ledger: Pick<Ledger, "query" | "table">): Deliveries {
  const beginSql = beginDeliveries(ledger.table).text;
  const settleSql = settleDeliveries(ledger.table).text;
  const ofJobSql = deliveriesOfJob(ledger.table).text;
  const resolveSql = resolveDelivery(ledger.table).text;

  const beginning = createBatcher<NewDelivery, BeginVerdict>({
    name: "deliveries_begin",
    splitOn,
    run: async (items) => {
      const { rows } = await ledger.query(beginSql, [
        items.map((item) => item.jobId),
        items.map((item) => item.channel),
        items.map((item) => item.attempt),
        items.map((item) => item.policy),
        items.map((item) => item.template),
        items.map((item) => item.templateVersion),
        items.map((item) => item.locale),
        items.map((item) => item.provider),
        items.map((item) => item.recipient),
        items.map((item) => item.recipientHash),
        items.map((item) => item.messageId),
        items.map((item) => item.correlationId),
      ]);
      return inOrder(items, rows, (item, row) => verdictOf(item.attempt, row));
    },
  });

  const settling = createBatcher<DeliverySettlement, DeliverySettled>({
    name: "deliveries_settle",
    splitOn,
    run: async (items) => {
      const { rows } = await ledger.query(settleSql, [
        items.map((item) => item.jobId),
        items.map((item) => item.channel),
        items.map((item) => item.attempt),
        items.map((item) => item.outcome),
        items.map((item) => bounded(item.providerId)),
        items.map((item) => bounded(item.response)),
        items.map((item) => item.reason ?? null),
      ]);
      return inOrder(items, rows, (_item, row) => row.settled as DeliverySettled);
    },
  });

  return {
    begin: (delivery) => beginning.add(delivery),
    settle: (settlement) => settling.add(settlement),
    async resolve(jobId, channel, as) {
      const { rows } = await ledger.query(resolveSql, [jobId, channel, as, "RESOLVED_BY_PERSON"]);
      return rows.length > 0;
    },
    async ofJob(jobId) {
      const { rows } = await ledger.query(ofJobSql, [jobId]);
      return rows.map(recordOf);
    },
  };
}

/** What the row says after `begin` ran, seen from one attempt. Pure. */
export function verdictOf(attempt: number, row: Row): BeginVerdict {
  const doubted = row.doubted_by === attempt;
  const state = row.state as DeliveryRecord["state"];
  switch (state) {
    case "accepted":
      return { kind: "accepted_before", providerId: textOf(row.provider_id), response: textOf(row.response) };
    case "rejected":
      return { kind: "rejected_before", response: textOf(row.response) };
    case "unknown":
      return { kind: "held", doubted };
    case "given_up":
      return { kind: "given_up", doubted };
    case "sending":
      return row.attempt === attempt
        ? { kind: "send", tries: Number(row.tries), doubts: Number(row.doubts), doubted }
        : { kind: "fenced" };
    case "deferred":
      return { kind: "fenced" };
    default:
      return state satisfies never;
  }
}

function inOrder<Item extends { readonly jobId: string; readonly channel: string }, Result>(
  items: readonly Item[],
  rows: readonly Row[],
  read: (item: Item, row: Row) => Result,
): Result[] {
  const byKey = new Map(rows.map((row) => [`${String(row.job_id)} ${String(row.channel)}`, row]));
  return items.map((item) => {
    const row = byKey.get(`${item.jobId} ${item.channel}`);
    if (row === undefined) {
      throw new Error(`The deliveries ledger gave no answer for job ${item.jobId}.`);
    }
    return read(item, row);
  });
}

/** Postgres cannot store U+0000 in text. */
function bounded(text: string | undefined): string | null {
  return text === undefined ? null : text.replaceAll("\u0000", "").slice(0, maxResponseLength);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function recordOf(row: Row): DeliveryRecord {
  return {
    jobId: String(row.job_id),
    channel: String(row.channel),
    state: row.state as DeliveryRecord["state"],
    policy: row.policy as UnknownPolicy,
    attempt: Number(row.attempt),
    tries: Number(row.tries),
    doubts: Number(row.doubts),
    template: String(row.template),
    templateVersion: Number(row.template_version),
    locale: String(row.locale),
    provider: String(row.provider),
    recipient: String(row.recipient),
    messageId: String(row.message_id),
    providerId: textOf(row.provider_id),
    response: textOf(row.response),
    reason: textOf(row.reason),
    correlationId: String(row.correlation_id),
    createdAt: row.created_at as Date,
    startedAt: row.started_at as Date,
    settledAt: row.settled_at instanceof Date ? row.settled_at : undefined,
    log: row.log as DeliveryRecord["log"],
  };
}
