import { createHash } from "node:crypto";
import type { Delivery } from "@warren/amqp";
import type { EventHeaders } from "@warren/contracts";

/** Which attempt of its subscription a delivery is, from 1. Absent on a first delivery. */
export const attemptHeader = "x-warren-attempt";
/** The broker's history of the message over all its republications, newest first. */
const deathHeader = "x-warren-death";
/** Why a dead event is dead: an error code, and its message. */
export const reasonHeader = "x-warren-reason";
export const errorHeader = "x-warren-error";
/** The dead letter that a delivery is a replay of. */
export const replayHeader = "x-warren-replay";

/** CloudEvents attributes of a received message; what a foreign publisher left out is `undefined`. */
export interface Attributes {
  readonly id: string | undefined;
  readonly type: string;
  readonly source: string | undefined;
  readonly subject: string | undefined;
  /** As it arrived; `readTime` makes a date of it, which costs more than all the rest, and few handlers look. */
  readonly time: unknown;
  readonly version: number | undefined;
  readonly correlationId: string | undefined;
  readonly traceparent: string | undefined;
  readonly attempt: number;
  readonly replayOf: string | undefined;
}

type Headers = Readonly<Record<string, unknown>>;
type Received = Pick<Delivery, "headers" | "messageId" | "type" | "routingKey" | "correlationId">;

export interface NewEventHeaders {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly time: Date;
  readonly version: number;
  readonly subject: string | undefined;
  readonly dataSchema: string | undefined;
  readonly traceparent: string | undefined;
}

/** The headers of an event that we publish. Pure. */
export function writeHeaders(event: NewEventHeaders): EventHeaders {
  const headers: EventHeaders = {
    cloudEvents_specversion: "1.0",
    cloudEvents_id: event.id,
    cloudEvents_type: event.type,
    cloudEvents_source: event.source,
    cloudEvents_time: event.time.toISOString(),
    cloudEvents_dataversion: event.version,
  };
  if (event.subject !== undefined) headers.cloudEvents_subject = event.subject;
  if (event.dataSchema !== undefined) headers.cloudEvents_dataschema = event.dataSchema;
  if (event.traceparent !== undefined) headers.traceparent = event.traceparent;
  return headers;
}

/**
 * Reads the attributes of any message, also of publishers who know only AMQP: the id may be the message id, the type the `type` property or
 * the routing key. CloudEvents allows `cloudEvents:` as well as `cloudEvents_`. Never throws. Pure.
 */
export function readAttributes({ headers, messageId, type, routingKey, correlationId }: Received): Attributes {
  return {
    id: text(attribute(headers, names.id)) ?? messageId,
    type: text(attribute(headers, names.type)) ?? type ?? routingKey,
    source: text(attribute(headers, names.source)),
    subject: text(attribute(headers, names.subject)),
    time: attribute(headers, names.time),
    version: positive(attribute(headers, names.dataversion)),
    correlationId,
    traceparent: text(headers["traceparent"]) ?? text(attribute(headers, names.traceparent)),
    attempt: positive(headers[attemptHeader]) ?? 1,
    replayOf: text(headers[replayHeader]),
  };
}

/** Both ways to write the name of an attribute, put together once and not for every message. */
const named = (name: string) => [`cloudEvents_${name}`, `cloudEvents:${name}`] as const;
const names = {
  id: named("id"),
  type: named("type"),
  source: named("source"),
  subject: named("subject"),
  time: named("time"),
  dataversion: named("dataversion"),
  traceparent: named("traceparent"),
};

function attribute(headers: Headers, [usual, other]: ReturnType<typeof named>): unknown {
  return headers[usual] ?? headers[other];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function positive(value: unknown): number | undefined {
  const number = typeof value === "string" ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) && number >= 1 ? number : undefined;
}

/** RFC 3339, or an AMQP timestamp. AMQP timestamps arrive from amqplib as `{ "!": "timestamp", value: seconds }`. */
export function readTime(value: unknown): Date | undefined {
  const seconds: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "value") : undefined;
  const at =
    typeof value === "string" ? new Date(value) : typeof seconds === "number" ? new Date(seconds * 1_000) : undefined;
  return at === undefined || Number.isNaN(at.getTime()) ? undefined : at;
}

const mostDeaths = 16;
const ours = new Set<string>([attemptHeader, deathHeader, reasonHeader, errorHeader, replayHeader]);

/**
 * The headers of an event that goes on: up the ladder, to the dead, or back to its subscription. The broker's `x-death` is taken off (a broker up to
 * 3.13 reads a client's as a cycle) and kept in `x-warren-death`. What the first publisher left to AMQP properties is written down, because
 * the message id and the routing key change on the way. Pure.
 */
export function carriedHeaders(
  headers: Headers,
  attributes: Pick<Attributes, "id" | "type">,
  own: Readonly<Record<string, string | number>>,
): Headers {
  const kept = Object.entries(headers).filter(
    ([name]) => name !== "x-death" && !ours.has(name) && !/^x-(?:first|last)-death-|^x-delivery-count$/.test(name),
  );
  const deaths = deathsOf(headers);
  return {
    ...(attributes.id === undefined ? {} : { cloudEvents_id: attributes.id }),
    cloudEvents_type: attributes.type,
    ...Object.fromEntries(kept),
    ...(deaths.length === 0 ? {} : { [deathHeader]: deaths }),
    ...own,
  };
}

/** The broker's whole history of a message, newest first. Pure. */
function deathsOf(headers: Headers): readonly unknown[] {
  return [...list(headers["x-death"]), ...list(headers[deathHeader])].slice(0, mostDeaths);
}

/** What fits into an AMQP short string. */
const longestId = 255;

/**
 * The message id of a further sending of an event. A message id names one sending (the consumer drops a redelivery of what it has settled),
 * and the same sending repeated keeps it. Pure.
 */
export function sendingId(eventId: string, sending: string): string {
  const id = `${eventId}/${sending}`;
  return Buffer.byteLength(id) <= longestId ? id : createHash("sha256").update(id).digest("hex");
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
