import { defaultLadderMs } from "@warren/amqp";
import { eventPattern } from "@warren/contracts";
import { z } from "zod";
import { type BackoffOption, type BackoffRule, parseBackoff } from "../backoff.ts";
import { JobOptionError } from "../errors.ts";
import { assertFunction, count, parseOptions, queueName } from "../options.ts";
import { assertEvent, type EventDefinition, matchesPattern } from "./define.ts";
import type { Event, EventOf, ReceivedEvent } from "./event.ts";

export interface SubscriptionOptions {
  /** The service that subscribes; with `name` the name of the durable queue. All processes of the service share its events. */
  readonly service: string;
  /** What this subscription is for, unique in its service: `invoices`. Another name is another queue, and a fresh start. */
  readonly name: string;
  /** The most handlers at once in this process. Default 10. */
  readonly concurrency?: number;
  /** Events that this process may hold unacknowledged. Default: twice its concurrency, at least 20, at most 2,000. */
  readonly prefetch?: number;
  /** How often an event may fail before it is dead. Default 7. */
  readonly attempts?: number;
  /**
   * Delay between attempts: `ladder` (default) goes one rung up after each failure; a rule's delay is rounded up to a rung. Jitter means nothing
   * here, and functions are not taken.
   */
  readonly backoff?: Exclude<BackoffOption, (...args: never) => unknown> | "ladder";
  /** Delays of the rungs, ascending, each a queue `warren.retry.<delay>` shared by all subscriptions. Default 1 s, 5 s, 30 s, 2 min, 10 min, 1 h. */
  readonly ladderMs?: readonly number[];
  /** Whether events are handled exactly once: `event.complete(tx)` notes them in the handler's transaction. Default false: at least once. */
  readonly inbox?: boolean;
  /**
   * After this time the event's signal aborts; what the handler then throws is a failed attempt. Default 1 min, at most 20 min: the event is held
   * unacknowledged meanwhile, and the broker takes it away after 30. Longer work is a job: enqueue one.
   */
  readonly timeoutMs?: number;
  /** After this time the attempt has failed even if the handler never returns. Default `timeoutMs` + 30 s. */
  readonly hardTimeoutMs?: number;
}

export interface PatternOptions<Schema extends z.ZodType> extends SubscriptionOptions {
  /** Shape of the data of all events of the pattern. Default: anything that is JSON. */
  readonly schema?: Schema;
}

/** How the data of a received event is read: by a schema; or not at all here. */
type DataShape =
  | {
      readonly kind: "schema";
      readonly schema: z.ZodType;
      /** Brings data of an older version to the schema's. @throws UpcastError */
      readonly upcast?: ((data: unknown) => unknown) | undefined;
    }
  | { readonly kind: "unhandled" };

/** Which events one service wants, what it does with them, and by which policy; its types hidden. Make it with `subscribe`. */
export interface Subscription {
  readonly service: string;
  readonly name: string;
  /** `<service>.<subscription>`. */
  readonly id: string;
  readonly patterns: readonly string[];
  /** Bounded values for a metric label, whatever types arrive. */
  readonly labelOf: (type: string) => string;
  readonly shapeOf: (type: string, version: number | undefined) => DataShape;
  readonly handler: (event: ReceivedEvent) => unknown;
  readonly concurrency: number;
  readonly prefetch: number;
  readonly attempts: number;
  readonly backoff: BackoffRule | "ladder";
  readonly ladderMs: readonly number[];
  readonly inbox: boolean;
  readonly timeoutMs: number;
  readonly hardTimeoutMs: number;
}

/** A broker takes an unacknowledged message away after 30 minutes (its `consumer_timeout`). */
const longestTimeoutMs = 1_200_000;
const longestHardTimeoutMs = 1_500_000;
const longestRungMs = 24 * 3_600_000;

const subscriptionOptions = z.strictObject({
  service: queueName,
  name: queueName,
  concurrency: count.max(10_000).default(10),
  prefetch: count.max(65_535).optional(),
  attempts: count.max(1_000).default(7),
  backoff: z.unknown().optional(),
  ladderMs: z
    .array(z.number().int().min(1).max(longestRungMs))
    .min(1)
    .max(20)
    .refine(
      (rungs) => rungs.every((rung, index) => index === 0 || rung > (rungs[index - 1] ?? 0)),
      "expected ascending delays",
    )
    .default([...defaultLadderMs]),
  inbox: z.boolean().default(false),
  timeoutMs: count.max(longestTimeoutMs).default(60_000),
  hardTimeoutMs: count.max(longestHardTimeoutMs).optional(),
  schema: z.custom<z.ZodType>((value) => value instanceof z.core.$ZodType, "expected a zod schema").optional(),
});

const graceMs = 30_000;
const fewestPrefetch = 20;
const mostPrefetch = 2_000;

/**
 * Subscribes a handler to an event, to several, or to a pattern of types (`orders.*`, `orders.#`). Give the result to `createSubscriber`. The
 * handler's return value is ignored; it throws to fail: any error is a failed attempt, `NonRetryableError` makes the event dead at once,
 * `snooze(delayMs)` brings it back later without using up an attempt.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
 */
export function subscribe<Definition extends EventDefinition>(
  event: Definition,
  options: SubscriptionOptions,
  handler: (event: EventOf<Definition>) => unknown,
): Subscription;
export function subscribe<const Definitions extends readonly EventDefinition[]>(
  events: Definitions,
  options: SubscriptionOptions,
  handler: (event: EventOf<Definitions[number]>) => unknown,
): Subscription;
export function subscribe<Schema extends z.ZodType = z.ZodUnknown>(
  pattern: string,
  options: PatternOptions<Schema>,
  handler: (event: Event<string, z.output<Schema>>) => unknown,
): Subscription;
export function subscribe(
  what: EventDefinition | readonly EventDefinition[] | string,
  options: SubscriptionOptions | PatternOptions<z.ZodType>,
  handler: (event: never) => unknown,
): Subscription {
  const parsed = parseOptions("subscribe", subscriptionOptions, options);
  assertFunction("subscribe", "handler", handler);
  const { service, name, concurrency, prefetch, timeoutMs, schema } = parsed;
  const hardTimeoutMs = parsed.hardTimeoutMs ?? timeoutMs + graceMs;
  if (hardTimeoutMs < timeoutMs) throw invalid("hardTimeoutMs", `expected at least timeoutMs (${timeoutMs})`);
  const wanted = typeof what === "string" ? byPattern(what, schema) : byDefinition(definitionsOf(what), schema);
  return Object.freeze({
    service,
    name,
    id: `${service}.${name}`,
    ...wanted,
    // the subscriber parses the data with the schema that `shapeOf` names before it calls this
    handler: (event: ReceivedEvent) => handler(event as never),
    concurrency,
    prefetch: prefetch ?? Math.min(mostPrefetch, Math.max(fewestPrefetch, 2 * concurrency)),
    attempts: parsed.attempts,
    backoff: backoffOf(parsed.backoff),
    ladderMs: Object.freeze([...parsed.ladderMs]),
    inbox: parsed.inbox,
    timeoutMs,
    hardTimeoutMs,
  });
}

type Wanted = Pick<Subscription, "patterns" | "labelOf" | "shapeOf">;

function byPattern(pattern: string, schema: z.ZodType = z.unknown()): Wanted {
  const parsed = eventPattern.safeParse(pattern);
  if (!parsed.success) throw invalid("pattern", parsed.error.issues[0]?.message ?? "invalid");
  const shape: DataShape = { kind: "schema", schema };
  return {
    patterns: [pattern],
    labelOf: () => pattern,
    shapeOf: (type) => (matchesPattern(pattern, type) ? shape : { kind: "unhandled" }),
  };
}

function definitionsOf(what: EventDefinition | readonly EventDefinition[]): readonly EventDefinition[] {
  return isList(what) ? what : [what];
}

const isList = (what: unknown): what is readonly EventDefinition[] => Array.isArray(what);

function byDefinition(definitions: readonly EventDefinition[], schema: z.ZodType | undefined): Wanted {
  if (definitions.length === 0) throw invalid("events", "expected at least one event definition");
  for (const definition of definitions) assertEvent("subscribe", definition);
  if (schema !== undefined) throw invalid("schema", "only with a pattern; a definition has its own");
  const grouped = Map.groupBy(definitions, ({ type }) => type);
  const byType = new Map([...grouped].map(([type, versions]) => [type, shapesOf(versions)]));
  return {
    patterns: [...byType.keys()],
    labelOf: (type) => (byType.has(type) ? type : "other"),
    shapeOf: (type, version) => byType.get(type)?.(version) ?? unhandled,
  };
}

const unhandled: DataShape = { kind: "unhandled" };

/** How the data of each version of one type is read. What is known beforehand is looked up, for it is asked for every delivery. */
function shapesOf(definitions: readonly EventDefinition[]): (version: number | undefined) => DataShape {
  const shapes = new Map<number, DataShape>();
  for (const { version, schema } of definitions)
    if (!shapes.has(version)) shapes.set(version, { kind: "schema", schema });
  const latest = Math.max(...shapes.keys());
  return (version = latest) => {
    // a publisher that knows no versions means the only one there is, or the latest
    const exact = shapes.get(version);
    if (exact !== undefined) return exact;
    const older = definitions.find(({ upcast }) => upcast.versions.includes(version));
    if (older === undefined) return unhandled;
    return { kind: "schema", schema: older.schema, upcast: (data) => older.upcast.apply(version, data) };
  };
}

function backoffOf(option: unknown): Subscription["backoff"] {
  if (option === undefined || option === "ladder") return "ladder";
  if (typeof option === "function") throw invalid("backoff", "expected a rule: the ladder's delays are fixed");
  const rule = parseBackoff("subscribe", option as BackoffOption);
  return typeof rule === "function" ? "ladder" : rule;
}

function invalid(path: string, why: string): JobOptionError {
  return new JobOptionError("JOB_OPTION_INVALID", `subscribe: "${path}": ${why}`, { details: { path } });
}
