import type { JsonPathStep } from "@warren/contracts";
import type { WebhookEvent } from "../../intake/event.ts";
import { newBudget, valuesAt } from "../json-path.ts";
import { failure, type RouteFailure } from "../routed.ts";
import type { Explained } from "./compile.ts";

/** Providers send up to a thousand events at once (SendGrid). */
const mostParts = 1_000;
/** The sender waits for all of them. */
const mostMs = 2_000;

/** The events that a webhook carries: each with a value at the path as its body, and an id of its own. */
export function partsOf(event: WebhookEvent, steps: readonly JsonPathStep[]): readonly WebhookEvent[] | RouteFailure {
  const body = event.payload();
  if (body === undefined) return failure("ROUTE_FILTER_FAILED", "the body is not JSON");
  const values = valuesAt(body, steps, newBudget());
  if (values === undefined || values.length > mostParts) {
    return failure("ROUTE_FILTER_FAILED", `it carries more than ${mostParts} events`);
  }
  return values.map((value, at) => ({
    ...event,
    eventId: `${event.eventId ?? event.requestId}:${at}`,
    payload: () => value,
  }));
}

/**
 * Runs a rule for each part, one after the other. What it makes of all of them is made together or, when one fails, not at all: so the
 * rule can be run again later without doing anything twice. A part whose condition cannot be judged is marked and stops nothing.
 */
export async function explainEach(
  rule: string,
  parts: readonly WebhookEvent[],
  explain: (part: WebhookEvent) => Promise<Explained>,
): Promise<Explained> {
  const startedAt = performance.now();
  const results: Explained[] = [];
  for (const [at, part] of parts.entries()) {
    if (performance.now() - startedAt > mostMs) {
      const late = failure("ROUTE_TRANSFORM_OVERLOADED", `${parts.length} parts took longer than ${mostMs} ms`);
      return { rule, takes: true, made: [], failed: late };
    }
    const result = await explain(part);
    const { failed } = result;
    if (failed !== undefined && failed.code !== "ROUTE_FILTER_FAILED") {
      return { ...result, made: [], failed: failure(failed.code, `part ${at}: ${failed.message}`) };
    }
    results.push(result);
  }
  const shown = results.find(({ made }) => made.length > 0) ?? results[0];
  return {
    ...shown,
    rule,
    takes: true,
    made: results.flatMap(({ made }) => made),
    failed: results.find(({ failed }) => failed !== undefined)?.failed,
  };
}
