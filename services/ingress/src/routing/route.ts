import type { DeliverWebhookPayload } from "@warren/contracts";
import { WarrenError } from "@warren/contracts";
import {
  deliverWebhook,
  type EnqueueOptions,
  type EventDataOf,
  type EventDefinition,
  type JobDefinition,
  type PayloadOf,
  type PublishOptions,
  prepare,
  prepareEvent,
  publishWebhook,
} from "@warren/jobs";
import type { z } from "zod";
import type { WebhookEvent } from "../intake/event.ts";
import type { ProviderName } from "../sources/providers.ts";
import { typesOf } from "./pattern.ts";
import { failure, failureOf, type Made, type RouteFailure } from "./routed.ts";

/** What a job carries of the request that made it. */
export interface Origin {
  readonly correlationId: string;
  /** W3C `traceparent` of the request, if it had one. */
  readonly trace: string | undefined;
}

/** Which events a rule takes. What is left out takes all. */
export interface RouteOptions<Body> {
  /** In reports and metrics, as `code/<name>`. Unique. */
  readonly name: string;
  /** Names of sources. */
  readonly source?: string | readonly string[];
  readonly provider?: ProviderName | readonly ProviderName[];
  /** The provider's types of events; `*` stands for any run of characters: `invoice.*`. */
  readonly types?: readonly string[];
  /** The shape of the body. One that does not fit is a failure, with the path to the field; the rule then makes nothing. */
  readonly body?: z.ZodType<Body>;
  /** Whether it takes this event. A throw is a failure, and the event is routed all the same. */
  readonly when?: (event: WebhookEvent, body: Body) => boolean;
  /** Takes only events of which no rule before it has made anything. Default false. */
  readonly otherwise?: boolean;
}

/** `key`: order and limits; `id`, `unique`: one job; `delayMs`, `priority`. */
export type RouteJobOptions = Omit<EnqueueOptions, "tx" | "correlationId">;
export type RouteEventOptions = Pick<PublishOptions, "id" | "subject" | "orderingKey">;

export interface RouteDelivery {
  /** The endpoint's id. Default: every endpoint that wants the type. */
  readonly endpoint?: string;
  /** Default: the type that the provider gave. */
  readonly eventType?: string;
  /** Any JSON. */
  readonly payload: unknown;
}

/** A rule in code. Each `to…` answers a rule that makes this as well. */
export interface CodeRoute<Body = undefined> extends CodeRule {
  /** Makes a job; `undefined` makes none. @param optionsOf such as `(event, body) => ({ key: body.customer })` for order per customer. */
  toJob<Definition extends JobDefinition>(
    definition: Definition,
    map: (event: WebhookEvent, body: Body) => PayloadOf<Definition> | undefined,
    optionsOf?: (event: WebhookEvent, body: Body) => RouteJobOptions,
  ): CodeRoute<Body>;
  /** Makes a job of each of several payloads: for webhooks that carry a list. One that fails fails them all. */
  toJobs<Definition extends JobDefinition>(
    definition: Definition,
    map: (event: WebhookEvent, body: Body) => readonly PayloadOf<Definition>[],
    optionsOf?: (payload: PayloadOf<Definition>, event: WebhookEvent, body: Body) => RouteJobOptions,
  ): CodeRoute<Body>;
  /** Publishes an event on the broker, through the outbox; `undefined` publishes none. */
  toEvent<Definition extends EventDefinition>(
    definition: Definition,
    map: (event: WebhookEvent, body: Body) => EventDataOf<Definition> | undefined,
    optionsOf?: (event: WebhookEvent, body: Body) => RouteEventOptions,
  ): CodeRoute<Body>;
  /** Sends it on to an endpoint of yours, or of your customers. */
  toDelivery(map: (event: WebhookEvent, body: Body) => RouteDelivery | undefined): CodeRoute<Body>;
}

/** A rule in code as the router runs it. */
export interface CodeRule {
  readonly name: string;
  readonly sources: readonly string[] | undefined;
  readonly providers: readonly ProviderName[] | undefined;
  readonly takesType: (type: string | undefined) => boolean;
  readonly otherwise: boolean;
  /** What it makes of an event of such a source, provider and type; `undefined`: it does not take it. Never throws. */
  readonly run: (event: WebhookEvent, origin: Origin) => Omit<CodeResult, "rule"> | undefined;
}

interface CodeResult {
  readonly rule: string;
  readonly made: readonly Made[];
  readonly failed: RouteFailure | undefined;
}

type Target<Body> = (event: WebhookEvent, body: Body, origin: Origin) => Made | readonly Made[] | undefined;

const list = <Item>(value: Item | readonly Item[] | undefined): readonly Item[] | undefined =>
  value === undefined || Array.isArray(value) ? (value as readonly Item[] | undefined) : [value as Item];

/** Begins a rule: say what it takes, then what it makes, with `toJob`, `toEvent` and `toDelivery`. */
export function route<Body = undefined>(options: RouteOptions<Body>): CodeRoute<Body> {
  return routeTo(options, []);
}

function routeTo<Body>(options: RouteOptions<Body>, targets: readonly Target<Body>[]): CodeRoute<Body> {
  const and = (target: Target<Body>): CodeRoute<Body> => routeTo(options, [...targets, target]);
  return {
    name: `code/${options.name}`,
    sources: list(options.source),
    providers: list(options.provider),
    takesType: typesOf(options.types ?? []),
    otherwise: options.otherwise ?? false,
    run: (event, origin) => runRule(options, targets, event, origin),
    toJob: (definition, map, optionsOf) =>
      and((event, body, origin) => {
        const payload = map(event, body);
        if (payload === undefined) return undefined;
        return { made: "job", job: jobOf(definition, payload, origin, optionsOf?.(event, body)) };
      }),
    toJobs: (definition, map, optionsOf) =>
      and((event, body, origin) =>
        map(event, body).map((payload) => ({
          made: "job",
          job: jobOf(definition, payload, origin, optionsOf?.(payload, event, body)),
        })),
      ),
    toEvent: (definition, map, optionsOf) =>
      and((event, body, origin) => {
        const data = map(event, body);
        return data === undefined ? undefined : eventOf(definition, data, origin, optionsOf?.(event, body));
      }),
    toDelivery: (map) =>
      and((event, body, origin) => {
        const delivery = map(event, body);
        return delivery === undefined ? undefined : deliveryOf(event, delivery, origin);
      }),
  };
}

function runRule<Body>(
  { body: schema, when }: RouteOptions<Body>,
  targets: readonly Target<Body>[],
  event: WebhookEvent,
  origin: Origin,
): Omit<CodeResult, "rule"> | undefined {
  let body: unknown;
  try {
    const parsed = schema?.safeParse(event.payload());
    if (parsed?.success === false) {
      const [issue] = parsed.error.issues;
      const why = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`;
      return { made: [], failed: failure("ROUTE_BODY_INVALID", why) };
    }
    body = parsed?.data;
  } catch (error) {
    // a refinement of the schema that throws
    return { made: [], failed: failureOf("ROUTE_BODY_INVALID", error) };
  }
  // sound: without a schema Body is undefined
  const typed = body as Body;
  let failed: RouteFailure | undefined;
  try {
    if (when !== undefined && !when(event, typed)) return undefined;
  } catch (error) {
    failed = failureOf("ROUTE_FILTER_FAILED", error);
  }
  const made: Made[] = [];
  for (const target of targets) {
    try {
      const one = target(event, typed, origin);
      if (one !== undefined) made.push(...[one].flat());
    } catch (error) {
      failed = failureOf(error instanceof WarrenError ? "ROUTE_OUTPUT_REFUSED" : "ROUTE_MAP_FAILED", error);
    }
  }
  return { made, failed };
}

/** The job's row. @throws JobDataError, JobOptionError as `enqueue`. */
export function jobOf<Definition extends JobDefinition>(
  definition: Definition,
  payload: PayloadOf<Definition>,
  { correlationId, trace }: Origin,
  options?: RouteJobOptions,
) {
  const job = prepare(definition, payload, options, "enqueuer", () => correlationId);
  return trace === undefined ? job : { ...job, trace };
}

/** The outbox's row. @throws JobDataError, JobOptionError as `publish`. */
export function eventOf<Definition extends EventDefinition>(
  definition: Definition,
  data: EventDataOf<Definition>,
  { correlationId, trace }: Origin,
  options: RouteEventOptions = {},
): Made {
  const event = prepareEvent(definition, data, { ...options, correlationId });
  const headers = trace === undefined ? event.headers : { ...event.headers, traceparent: trace };
  return { made: "event", event: { ...event, headers } };
}

/** @throws JobDataError when the endpoint or the type is none. */
export function deliveryOf(event: WebhookEvent, delivery: RouteDelivery, origin: Origin): Made {
  const { endpoint, payload, eventType = event.eventType ?? "unnamed" } = delivery;
  const outbound: Omit<DeliverWebhookPayload, "endpoint"> = {
    eventType,
    eventId: event.eventId ?? event.requestId,
    createdAt: event.receivedAt.toISOString(),
    payload,
  };
  const job =
    endpoint === undefined
      ? jobOf(publishWebhook, outbound, origin)
      : jobOf(deliverWebhook, { ...outbound, endpoint }, origin);
  return { made: "delivery", job };
}
