import { createHash } from "node:crypto";
import { eventType as eventTypeSchema, type RuleTarget, WarrenError } from "@warren/contracts";
import { defineEvent, defineJob, type JobDefinition } from "@warren/jobs";
import { z } from "zod";
import type { WebhookEvent } from "../../intake/event.ts";
import { newBudget, stepsOf, textAtPath, valuesAt } from "../json-path.ts";
import { deliveryOf, eventOf, jobOf, type Origin, type RouteJobOptions } from "../route.ts";
import type { Made } from "../routed.ts";

/** Makes what a rule is for. @throws JobDataError, JobOptionError when the payload is not what it takes. */
export type Target = (event: WebhookEvent, payload: unknown, origin: Origin) => Made;

/** @throws WarrenError `ROUTE_RULE_INVALID`. */
export function compileTarget(to: RuleTarget, knownJobs: readonly JobDefinition[]): Target {
  switch (to.kind) {
    case "job": {
      const definition = definitionOf(to, knownJobs);
      const optionsOf = jobOptions(to);
      return (event, payload, origin) => ({ made: "job", job: jobOf(definition, payload, origin, optionsOf(event)) });
    }
    case "event":
      return eventTarget(to);
    case "delivery": {
      const { endpoint, eventType } = to;
      return (event, payload, origin) =>
        deliveryOf(
          event,
          {
            payload,
            ...(endpoint === undefined ? {} : { endpoint }),
            ...(eventType === undefined ? {} : { eventType }),
          },
          origin,
        );
    }
    default:
      return to satisfies never;
  }
}

type JobTarget = Extract<RuleTarget, { readonly kind: "job" }>;

function definitionOf(
  { job, queue, version, attempts }: JobTarget,
  knownJobs: readonly JobDefinition[],
): JobDefinition {
  const known = knownJobs.find(({ name }) => name === job);
  if (known === undefined) {
    if (queue === undefined) throw invalid("queue", `the ingress does not know the job "${job}": name its queue`);
    return defineJob({
      name: job,
      queue,
      payload: z.unknown(),
      ...(version === undefined ? {} : { version }),
      ...(attempts === undefined ? {} : { attempts }),
    });
  }
  const surplus = Object.entries({ queue, version, attempts }).find(([, value]) => value !== undefined);
  if (surplus !== undefined) {
    throw invalid(surplus[0], `the job "${job}" says its own ${surplus[0]}: leave it out`);
  }
  if (known.encrypt || known.offloadAboveBytes !== undefined) {
    throw invalid("job", `the payload of "${job}" is encrypted or offloaded: let another job enqueue it`);
  }
  return known;
}

const longestKey = 200;

/** A key of any length as one that every store takes. */
const keyOf = (text: string): string =>
  text.length <= longestKey && !text.includes("\u0000") && text.isWellFormed()
    ? text
    : createHash("sha256").update(text).digest("base64url");

function jobOptions({ key, unique, delayMs, priority }: JobTarget): (event: WebhookEvent) => RouteJobOptions {
  const keySteps = key === undefined ? undefined : stepsOf(key);
  const by = unique?.by.map(stepsOf);
  const { by: _, ...uniqueness } = unique ?? { by: [] };
  return (event) => {
    const options: { -readonly [Name in keyof RouteJobOptions]: RouteJobOptions[Name] } = {};
    const limitKey = keySteps === undefined ? undefined : textAtPath(event.payload(), keySteps);
    if (limitKey !== undefined) options.key = keyOf(limitKey);
    if (by !== undefined) {
      const values = by.map((steps) => valuesAt(event.payload(), steps, newBudget()) ?? []);
      const uniqueKey = createHash("sha256").update(JSON.stringify(values)).digest("base64url");
      options.unique = { ...withoutUndefined(uniqueness), key: uniqueKey };
    }
    if (delayMs !== undefined) options.delayMs = delayMs;
    if (priority !== undefined) options.priority = priority;
    return options;
  };
}

function withoutUndefined<Value extends object>(value: Value): { [Name in keyof Value]?: NonNullable<Value[Name]> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}

type EventTarget = Extract<RuleTarget, { readonly kind: "event" }>;

/** Types of one rule are as many as its provider has; more would be a sender's invention. */
const mostRememberedTypes = 1_000;

function eventTarget({ type, subject, orderingKey }: EventTarget): Target {
  const definitions = new Map<string, ReturnType<typeof anyEvent>>();
  const subjectSteps = subject === undefined ? undefined : stepsOf(subject);
  const orderSteps = orderingKey === undefined ? undefined : stepsOf(orderingKey);
  return (event, payload, origin) => {
    const name = type ?? ownType(event);
    let definition = definitions.get(name);
    if (definition === undefined) {
      definition = anyEvent(name);
      if (definitions.size >= mostRememberedTypes) definitions.clear();
      definitions.set(name, definition);
    }
    const about = subjectSteps === undefined ? undefined : textAtPath(event.payload(), subjectSteps);
    const order = orderSteps === undefined ? undefined : textAtPath(event.payload(), orderSteps);
    return eventOf(definition, payload, origin, {
      ...(about === undefined ? {} : { subject: keyOf(about) }),
      ...(order === undefined ? {} : { orderingKey: keyOf(order) }),
    });
  };
}

const anyEvent = (type: string) => defineEvent({ type, schema: z.unknown() });

/** `webhooks.<source>.<type>`, the type in the form that the broker routes by: `orders/create` is `orders.create`. */
function ownType({ source, eventType = "unnamed" }: WebhookEvent): string {
  const words = eventType
    .split(/[./:]+/)
    .map((word) => word.replaceAll(/[^A-Za-z0-9_-]+/g, "_"))
    .filter((word) => word !== "");
  const type = ["webhooks", source, ...words].join(".").slice(0, longestKey).replace(/\.+$/, "");
  return eventTypeSchema.parse(type);
}

function invalid(field: string, message: string): WarrenError {
  return new WarrenError("ROUTE_RULE_INVALID", `to.${field}: ${message}`, { details: { path: `to.${field}` } });
}
