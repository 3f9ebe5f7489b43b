import { type ErrorCode, WarrenError } from "@warren/contracts";
import type { NewJob, NewOutboxEvent, RouteOutcome } from "@warren/ledger";

/** One thing that a rule made. */
export type Made =
  | { readonly made: "job" | "delivery"; readonly job: NewJob }
  | { readonly made: "event"; readonly event: NewOutboxEvent };

/** Why a rule made nothing, or made it without having been able to judge its filter. */
export interface RouteFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What a rule did with an event that it takes. */
export interface RuleResult {
  readonly rule: string;
  readonly made: readonly Made[];
  readonly failed: RouteFailure | undefined;
}

/** What is to be stored with an event. */
export interface Routed {
  readonly jobs: readonly NewJob[];
  readonly events: readonly NewOutboxEvent[];
  /** `undefined`: nothing worth a report. */
  readonly routes: readonly RouteOutcome[] | undefined;
  readonly results: readonly RuleResult[];
}

const nothing: Routed = { jobs: [], events: [], routes: undefined, results: [] };

/**
 * What all rules made, as the store takes it. Plain jobs alone, all made as they should be, carry no report: nobody would look for it, and
 * the store has a shorter way for them. `reported`: with one all the same.
 */
export function gather(results: readonly RuleResult[], reported: boolean): Routed {
  if (results.length === 0 && !reported) return nothing;
  const jobs: NewJob[] = [];
  const events: NewOutboxEvent[] = [];
  const routes: RouteOutcome[] = [];
  let remarkable = reported;
  for (const { rule, made, failed } of results) {
    for (const one of made) {
      if (one.made === "event") {
        routes.push({ rule, made: "event", event: events.push(one.event) - 1 });
        remarkable = true;
      } else routes.push({ rule, made: one.made, job: jobs.push(one.job) - 1 });
    }
    if (failed !== undefined) {
      routes.push({ rule, failed });
      remarkable = true;
    }
  }
  return { jobs, events, routes: remarkable ? routes : undefined, results };
}

/** The same event without what was made of it, because the ledger refused to store it: each rule that made something has failed. */
export function withoutOutput({ results }: Routed, why: string): Routed {
  const refused = failure("ROUTE_OUTPUT_REFUSED", why);
  const left = results.map(({ rule, made, failed }) => ({
    rule,
    made: [],
    failed: made.length > 0 ? refused : failed,
  }));
  return gather(left, true);
}

const maxMessageLength = 500;

/** A failure with a message of one bounded line that every store can hold. */
export function failure(code: ErrorCode, message: string): RouteFailure {
  const line = message
    .slice(0, maxMessageLength * 2)
    .toWellFormed()
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim();
  return { code, message: line.slice(0, maxMessageLength).toWellFormed() };
}

export function failureOf(code: ErrorCode, error: unknown): RouteFailure {
  const text = error instanceof Error ? error.message : String(error);
  return failure(code, error instanceof WarrenError ? `${error.code}: ${text}` : text);
}
