import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { eventQueue, type Publisher } from "@warren/amqp";
import type { DeadEvent, DeadEventFilter, Ledger } from "@warren/ledger";
import { z } from "zod";
import { JobDataError } from "../errors.ts";
import { count, parseOptions } from "../options.ts";
import type { EventDefinition } from "./define.ts";
import { writeData } from "./publish.ts";
import { carriedHeaders, readAttributes, replayHeader, sendingId } from "./wire.ts";

/** Which dead events to replay. Every field narrows; those that were replayed before are left out unless asked for. */
export type ReplayFilter = Omit<DeadEventFilter, "subscription" | "replayedBefore">;

export interface ReplayOptions {
  /** `<service>.<subscription>`: the events go to this one subscription's queue, and to no other subscriber. */
  readonly subscription: string;
  readonly filter?: ReplayFilter;
  /** Events a second, at most. Default 100. */
  readonly rate?: number;
  /** Events in all, at most. Default no limit. */
  readonly limit?: number;
  /** Only count what would be replayed. Default false. */
  readonly dryRun?: boolean;
  /** Changes an event's data; its id and its other attributes stay. Default: as they are. */
  readonly edit?: (data: unknown, letter: DeadEvent) => unknown;
  /** Checks edited data before anything is sent. */
  readonly event?: EventDefinition;
  /** Ends the replay after the event in hand. */
  readonly signal?: AbortSignal;
}

export interface Replayed {
  /** Dead events that matched when the replay began. */
  readonly matched: number;
  /** Those that the subscription's queue has confirmed. */
  readonly replayed: number;
}

export interface ReplayParts {
  readonly ledger: Pick<Ledger, "events">;
  readonly publisher: Pick<Publisher, "publish">;
  /** Default `randomUUID`. */
  readonly newId?: () => string;
}

const replayOptions = z.strictObject({
  subscription: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,99}\.[a-z0-9][a-z0-9_-]{0,99}$/i, 'expected "<service>.<subscription>"'),
  filter: z
    .strictObject({
      type: z.string().optional(),
      reason: z.string().optional(),
      ids: z.array(z.uuid()).optional(),
      eventIds: z.array(z.string()).optional(),
      receivedFrom: z.date().optional(),
      receivedBefore: z.date().optional(),
      replayed: z.boolean().optional(),
    })
    .default({}),
  rate: z.number().positive().max(100_000).default(100),
  limit: count.optional(),
  dryRun: z.boolean().default(false),
  edit: z
    .custom<(data: unknown, letter: DeadEvent) => unknown>(
      (value) => typeof value === "function",
      "expected a function",
    )
    .optional(),
  event: z.custom<EventDefinition>((value) => typeof value === "object", "expected an event definition").optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

const perRound = 20;
const largestBytes = 16 * 1_048_576;

/**
 * Has dead events handled again, by the one subscription that gave up on them, as a first attempt. What matches is what was dead when it began:
 * an event that dies again meanwhile is not taken a second time. A letter is marked after the broker has confirmed its event, so a replay that
 * was killed may repeat one, and a repeated replay goes on where it ended.
 * @throws JobOptionError; JobDataError `EVENT_DATA_INVALID` and others when edited data do not fit; PublishError `AMQP_UNROUTABLE` when the subscription's
 * queue does not exist. What was not sent stays as it was.
 */
export async function replayEvents(parts: ReplayParts, options: ReplayOptions): Promise<Replayed> {
  const parsed = parseOptions("replayEvents", replayOptions, options);
  const { subscription, rate, dryRun, limit = Number.POSITIVE_INFINITY, signal } = parsed;
  const { dead } = parts.ledger.events;
  const newId = parts.newId ?? randomUUID;
  const [service = "", name = ""] = subscription.split(".");
  const asked = { ...parsed.filter, subscription };
  const receivedBefore = await dead.freeze(asked.receivedBefore);
  const filter: DeadEventFilter = { ...asked, receivedBefore, replayedBefore: receivedBefore };
  const matched = Math.min(await dead.count(filter), limit);
  if (dryRun) return { matched, replayed: 0 };

  const startedAt = performance.now();
  let replayed = 0;
  const isOver = (): boolean => signal?.aborted === true;
  while (replayed < matched && !isOver()) {
    const taken = await dead.take(filter, { limit: Math.min(perRound, Math.ceil(rate), matched - replayed) });
    if (taken.length === 0) break;
    let done = 0;
    try {
      for (const letter of taken) {
        if (isOver()) break;
        await parts.publisher.publish({
          exchange: "",
          routingKey: eventQueue(service, name),
          ...messageOf(letter, bodyOf(letter, parsed), newId()),
        });
        await dead.replayed(letter.id);
        done += 1;
        const aheadMs = ((replayed + done) * 1_000) / rate - (performance.now() - startedAt);
        if (aheadMs > 1 && replayed + done < matched)
          await sleep(aheadMs, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      await dead.giveBack(taken.slice(done).map(({ id }) => id));
    }
    replayed += done;
  }
  return { matched, replayed };
}

function bodyOf(letter: DeadEvent, { edit, event }: Pick<z.output<typeof replayOptions>, "edit" | "event">): Buffer {
  if (edit === undefined) return letter.body;
  let data: unknown;
  try {
    data = JSON.parse(letter.body.toString("utf8"));
  } catch {
    // what was no JSON may be replaced by what is
    data = undefined;
  }
  const definition = event ?? { type: letter.type ?? "the event", schema: z.unknown() };
  return Buffer.from(writeData(definition, edit(data, letter), largestBytes));
}

function messageOf(letter: DeadEvent, body: Buffer, sending: string) {
  const { headers, eventId, type } = letter;
  if (eventId === undefined) {
    throw new JobDataError(
      "EVENT_MALFORMED",
      `dead letter ${letter.id} has no event id: it can only be published anew`,
    );
  }
  const attributes = readAttributes({
    headers,
    messageId: eventId,
    type,
    routingKey: type ?? "unknown",
    correlationId: undefined,
  });
  return {
    body,
    messageId: sendingId(eventId, sending),
    correlationId: letter.correlationId,
    headers: carriedHeaders(headers, attributes, { [replayHeader]: letter.id }),
  };
}
