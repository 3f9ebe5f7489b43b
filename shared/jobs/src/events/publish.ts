import { randomUUID } from "node:crypto";
import { eventsExchange, PublishError, type Publisher } from "@warren/amqp";
import type { Ledger, NewOutboxEvent, RunSql } from "@warren/ledger";
import { type CounterChild, currentContext, type Logger, type Metrics } from "@warren/observability";
import { z } from "zod";
import { JobDataError } from "../errors.ts";
import { assertReadable, misfit } from "../json.ts";
import { parseOptions } from "../options.ts";
import { assertEvent, type EventDataOf, type EventDefinition } from "./define.ts";
import { writeHeaders } from "./wire.ts";

export interface PublishOptions {
  /** The event's id, up to 200 bytes; an event published twice under one id has one effect behind an inbox. Default: a new one. */
  readonly id?: string;
  /** What the event is about: `order-17`. Up to 200 characters. */
  readonly subject?: string;
  /** Default: that of the current context, else a new one. */
  readonly correlationId?: string;
  /** Publish inside your own transaction, through the outbox: nothing is sent before your commit. Any function that runs one statement there. */
  readonly tx?: RunSql;
  /**
   * Events of one key reach the broker in the order in which they were committed. They go through the outbox, and publishers of one key take
   * turns. Up to 200 characters. Order ends at a subscriber with a concurrency above 1, and at a retry.
   */
  readonly orderingKey?: string;
  /** If the broker does not confirm, leave the event in the outbox instead of rejecting; the dispatcher sends it. Default false. */
  readonly durable?: boolean;
  /** How long to wait for the broker's confirm. Default 10 s; 2 s with `durable`. */
  readonly deadlineMs?: number;
}

export interface Published {
  /** The event's id. */
  readonly id: string;
  /** `broker`: confirmed. `outbox`: in the ledger, or in your transaction; the dispatcher sends it. */
  readonly via: "broker" | "outbox";
}

/**
 * Publishes an event. Resolves when the broker has confirmed it, whether or not anybody has subscribed, or when the outbox has it.
 * @throws JobDataError `EVENT_DATA_INVALID` with the path of the field, `EVENT_DATA_UNSERIALISABLE`, `EVENT_TOO_LARGE`.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
 * @throws PublishError, whose `details.messageId` is the event's id, when the broker did not confirm: `AMQP_PUBLISH_TIMEOUT` (down, or blocked: it may or
 * may not have the event; publish again under the same id), `AMQP_NACKED`, `AMQP_UNROUTABLE` (the exchange is missing), `AMQP_CLOSED`.
 */
export type Publish = <Definition extends EventDefinition>(
  event: Definition,
  data: EventDataOf<Definition>,
  options?: PublishOptions,
) => Promise<Published>;

export interface PublishParts {
  readonly ledger: Pick<Ledger, "events">;
  /** Without one, every event goes through the outbox. */
  readonly publisher: Pick<Publisher, "publish"> | undefined;
  /** Who publishes: CloudEvents `source`. */
  readonly source: string;
  readonly maxEventBytes: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly newId: () => string;
}

const label = z.string().min(1).max(200);
const publishOptions = z.strictObject({
  id: z
    .string()
    .min(1)
    .refine((id) => Buffer.byteLength(id) <= 200 && !id.includes("\u0000"), "expected at most 200 bytes without U+0000")
    .optional(),
  subject: label.optional(),
  correlationId: label.optional(),
  tx: z
    .custom<RunSql>((value) => typeof value === "function", "expected a function that runs one statement")
    .optional(),
  orderingKey: label.optional(),
  durable: z.boolean().default(false),
  deadlineMs: z.number().int().min(1).max(60_000).optional(),
});

const noOptions: z.output<typeof publishOptions> = { durable: false };
const durableDeadlineMs = 2_000;
/** After a durable event had to wait in vain, the next ones go to the outbox at once, for so long. */
const outageMs = 1_000;

export const defaultEventBytes = 1_048_576;

type Outcome = "confirmed" | "unrouted" | "outbox" | "failed";

export function createPublish(parts: PublishParts): Publish {
  const { ledger, publisher, source, maxEventBytes, log, newId } = parts;
  const published = parts.metrics.counter({
    name: "warren_events_published_total",
    help: "Events published by this process: confirmed, confirmed without any subscriber, left to the outbox, or failed",
    labels: ["event", "outcome"],
  });
  const counters = new Map<string, (outcome: Outcome) => CounterChild>();
  let outageUntil = 0;

  function count(event: string, outcome: Outcome): void {
    let counter = counters.get(event);
    if (counter === undefined) {
      const children = new Map<Outcome, CounterChild>();
      counter = (which) => {
        const child = children.get(which) ?? published.child({ event, outcome: which });
        children.set(which, child);
        return child;
      };
      counters.set(event, counter);
    }
    counter(outcome).inc();
  }

  async function toBroker(to: Pick<Publisher, "publish">, event: NewOutboxEvent, deadlineMs: number | undefined) {
    let outcome: Outcome = "confirmed";
    await to.publish({
      exchange: eventsExchange,
      routingKey: event.type,
      body: Buffer.from(event.body),
      messageId: event.eventId,
      type: event.type,
      headers: event.headers,
      correlationId: shortString(event.correlationId),
      onUnrouted: () => {
        outcome = "unrouted";
      },
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
    count(event.type, outcome);
  }

  async function toOutbox(event: NewOutboxEvent, tx?: RunSql): Promise<Published> {
    await (tx === undefined ? ledger.events.outbox.add([event]) : ledger.events.outbox.addIn(tx, [event]));
    count(event.type, "outbox");
    return { id: event.eventId, via: "outbox" };
  }

  return async (definition, data, given) => {
    const options = given === undefined ? noOptions : parseOptions("publish", publishOptions, given);
    assertEvent("publish", definition);
    const event = compose(definition, data, options, { source, maxEventBytes, newId });
    const { tx, durable } = options;
    const throughOutbox = tx !== undefined || options.orderingKey !== undefined || publisher === undefined;
    if (throughOutbox || (durable && performance.now() < outageUntil)) return toOutbox(event, tx);
    try {
      await toBroker(publisher, event, options.deadlineMs ?? (durable ? durableDeadlineMs : undefined));
      return { id: event.eventId, via: "broker" };
    } catch (error) {
      const worthKeeping = error instanceof PublishError && (error.retryable || error.code === "AMQP_CLOSED");
      if (!durable || !worthKeeping) {
        count(definition.type, "failed");
        throw error;
      }
      if (performance.now() >= outageUntil)
        log.warn({ err: error }, "the broker does not confirm; events go to the outbox");
      outageUntil = performance.now() + outageMs;
      return toOutbox(event);
    }
  };
}

/** Who composes an event, and how. */
export interface ComposeParts {
  /** CloudEvents `source`. Default `warren`. */
  readonly source?: string;
  /** Default 1 MiB. */
  readonly maxEventBytes?: number;
  /** Default `randomUUID`. */
  readonly newId?: () => string;
}

/**
 * Validates data and makes the outbox's row for it, without writing it: for those who put events into a transaction of their own.
 * @throws JobDataError, JobOptionError as `Publish`.
 */
export function prepareEvent<Definition extends EventDefinition>(
  definition: Definition,
  data: EventDataOf<Definition>,
  given: Pick<PublishOptions, "id" | "subject" | "correlationId" | "orderingKey"> = {},
  parts: ComposeParts = {},
): NewOutboxEvent {
  return compose(definition, data, parseOptions("prepareEvent", publishOptions, given), {
    source: parts.source ?? "warren",
    maxEventBytes: parts.maxEventBytes ?? defaultEventBytes,
    newId: parts.newId ?? randomUUID,
  });
}

function compose(
  definition: EventDefinition,
  data: unknown,
  options: z.output<typeof publishOptions>,
  { source, maxEventBytes, newId }: Required<ComposeParts>,
): NewOutboxEvent {
  const body = writeData(definition, data, maxEventBytes);
  const context = currentContext();
  const eventId = options.id ?? newId();
  return {
    eventId,
    type: definition.type,
    headers: writeHeaders({
      id: eventId,
      type: definition.type,
      source,
      time: new Date(),
      version: definition.version,
      subject: options.subject,
      dataSchema: definition.dataSchema,
      traceparent: context?.traceparent,
    }),
    body,
    correlationId: options.correlationId ?? context?.correlationId ?? newId(),
    orderingKey: options.orderingKey,
  };
}

/** The data as it travels. @throws JobDataError */
export function writeData(
  { type, schema }: Pick<EventDefinition, "type" | "schema">,
  data: unknown,
  maxBytes: number,
): string {
  const parsed = schema.safeParse(data);
  if (!parsed.success) throw misfit(`data of ${type}`, parsed.error, "EVENT_DATA_INVALID");
  let body: string | undefined;
  try {
    body = JSON.stringify(data);
  } catch (error) {
    const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : "";
    throw new JobDataError("EVENT_DATA_UNSERIALISABLE", `the data of ${type} cannot be written as JSON: ${why}`, {
      cause: error,
    });
  }
  if (body === undefined) {
    const text = `the data of ${type} cannot be written as JSON: ${typeof data}; an event without data carries null`;
    throw new JobDataError("EVENT_DATA_UNSERIALISABLE", text);
  }
  assertReadable(`data of ${type}`, schema, body, "EVENT_DATA_INVALID");
  // at most three bytes a character: only long texts need counting
  if (body.length * 3 > maxBytes) {
    const bytes = Buffer.byteLength(body);
    if (bytes > maxBytes) {
      throw new JobDataError("EVENT_TOO_LARGE", `the data of ${type} has ${bytes} bytes, the limit is ${maxBytes}`, {
        details: { bytes, maxBytes },
      });
    }
  }
  return body;
}

/** AMQP's short strings hold 255 bytes. */
function shortString(value: string | undefined): string | undefined {
  return value === undefined || Buffer.byteLength(value) <= 255 ? value : undefined;
}
