import type { NewOutboxEvent } from "../events/outbox.ts";
import type { NewJob } from "../job.ts";
import type { EventJob } from "./event-states.ts";
import type { KeptRoute, RouteOutcome } from "./routed.ts";

/** What routing makes of an event, as in `AcceptedRequest`. */
export interface Routed {
  readonly jobs: readonly NewJob[];
  readonly events?: readonly NewOutboxEvent[];
  readonly routes?: readonly RouteOutcome[];
}

/**
 * What routing would make and the event does not have. A rule has done its work when it made something before; a job that no rule is
 * known for counts as any job of its name. `unknown`: jobs whose name history has forgotten could be those that seem to be missing.
 */
export function missingOf(routed: Routed, jobs: readonly EventJob[], routes: readonly KeptRoute[]): Routed | "unknown" {
  const ruled = new Set<string>();
  const made = new Map<string, number>();
  for (const route of routes) {
    if ("failed" in route) continue;
    if (route.made !== "event") ruled.add(route.id);
    count(made, `${route.made} ${route.rule}`, 1);
  }
  const named = new Map<string, number>();
  let forgotten = 0;
  for (const { id, known } of jobs) {
    if (ruled.has(id)) continue;
    if (known === undefined) forgotten += 1;
    else count(named, known.name, 1);
  }
  const { jobs: wanted, events: wantedEvents = [], routes: outcomes = [] } = routed;
  const ruleOf = new Map(outcomes.flatMap((one) => ("job" in one ? [[one.job, one] as const] : [])));
  const ruleOfEvent = new Map(outcomes.flatMap((one) => ("event" in one ? [[one.event, one] as const] : [])));
  const isThere = (name: string | undefined, rule: { readonly made: string; readonly rule: string } | undefined) =>
    (rule !== undefined && take(made, `${rule.made} ${rule.rule}`)) || (name !== undefined && take(named, name));

  const keptJobs = [...wanted.keys()].filter((place) => !isThere(wanted[place]?.name, ruleOf.get(place)));
  const keptEvents = [...wantedEvents.keys()].filter((place) => !isThere(undefined, ruleOfEvent.get(place)));
  if (forgotten > 0 && keptJobs.length > 0) return "unknown";
  return {
    jobs: keptJobs.flatMap((place) => wanted[place] ?? []),
    events: keptEvents.flatMap((place) => wantedEvents[place] ?? []),
    routes: outcomes.flatMap((outcome): readonly RouteOutcome[] => {
      if ("failed" in outcome) return [outcome];
      if (outcome.made === "event") {
        const event = keptEvents.indexOf(outcome.event);
        return event === -1 ? [] : [{ ...outcome, event }];
      }
      const job = keptJobs.indexOf(outcome.job);
      return job === -1 ? [] : [{ ...outcome, job }];
    }),
  };
}

function count(map: Map<string, number>, name: string, by: number): void {
  map.set(name, (map.get(name) ?? 0) + by);
}

/** Takes one of a name, if there is one. */
function take(map: Map<string, number>, name: string): boolean {
  const left = map.get(name) ?? 0;
  if (left === 0) return false;
  map.set(name, left - 1);
  return true;
}
