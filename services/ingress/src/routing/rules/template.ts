import { type JsonPathStep, parseJsonPath, WarrenError } from "@warren/contracts";
import type { WebhookEvent } from "../../intake/event.ts";
import { newBudget, stepsOf, valuesAt } from "../json-path.ts";

/** Makes a payload of an event. */
export type Template = (event: WebhookEvent) => unknown;
type Fill = (event: WebhookEvent, body: unknown) => unknown;

const eventFields = {
  id: ({ eventId }) => eventId,
  type: ({ eventType }) => eventType,
  subject: ({ eventSubject }) => eventSubject,
  source: ({ source }) => source,
  provider: ({ provider }) => provider,
  requestId: ({ requestId }) => requestId,
  receivedAt: ({ receivedAt }) => receivedAt.toISOString(),
} as const satisfies Readonly<Record<string, (event: WebhookEvent) => string | undefined>>;

/**
 * Compiles a payload of a rule: JSON in which `{ "$path": "$.data.id" }` stands for the value there (with `*`: the list of values) and
 * `{ "$event": "type" }` for a fact about the event. What is not there leaves its member out, and is null elsewhere.
 * @throws WarrenError `ROUTE_RULE_INVALID`.
 */
export function compileTemplate(template: unknown): Template {
  const fill = compile(template);
  return (event) => fill(event, event.payload()) ?? null;
}

function compile(template: unknown): Fill {
  if (Array.isArray(template)) {
    const items = template.map(compile);
    return (event, body) => items.map((item) => item(event, body) ?? null);
  }
  if (typeof template !== "object" || template === null) return () => template;
  const entries = Object.entries(template);
  const marker = entries.find(([name]) => name === "$path" || name === "$event");
  if (marker !== undefined) {
    if (entries.length > 1) throw invalid(`"${marker[0]}" stands alone in its object`);
    return marker[0] === "$path" ? pathOf(marker[1]) : fieldOf(marker[1]);
  }
  const members = entries.map(([name, value]) => [name, compile(value)] as const);
  return (event, body) =>
    Object.fromEntries(
      members.flatMap(([name, member]) => {
        const value = member(event, body);
        return value === undefined ? [] : [[name, value]];
      }),
    );
}

function pathOf(path: unknown): Fill {
  if (typeof path !== "string" || parseJsonPath(path) === undefined) {
    throw invalid(`"$path" is a JSONPath such as $.data.id, not ${JSON.stringify(path)}`);
  }
  const steps: readonly JsonPathStep[] = stepsOf(path);
  const isList = steps.some(({ kind }) => kind === "every");
  return (_event, body) => {
    const values = valuesAt(body, steps, newBudget());
    if (values === undefined) throw new RangeError(`${path} names more than 10000 values`);
    return isList ? values : values[0];
  };
}

function fieldOf(field: unknown): Fill {
  const known = Object.entries(eventFields).find(([name]) => name === field);
  if (known === undefined) {
    throw invalid(`"$event" is one of ${Object.keys(eventFields).join(", ")}, not ${JSON.stringify(field)}`);
  }
  return (event) => known[1](event);
}

function invalid(message: string): WarrenError {
  return new WarrenError("ROUTE_RULE_INVALID", `payload: ${message}`, { details: { path: "payload" } });
}
