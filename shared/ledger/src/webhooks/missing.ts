import type { NewOutboxEvent } from "../events/outbox.ts";
import type { NewJob } from "../job.ts";
import type { EventJob } from "./event-states.ts";
import type { KeptRoute, RouteOutcome } from "./routed.ts";

/** What routing makes of an event, as in `AcceptedRequest`. */
export interface Routed {
  readonly jobs: readonly NewJob[];
  readonly events?: readonly NewOutboxEvent[];
  readonly routes?: readonly RouteOutcome[] | undefined;
}

/** What an event lacks; `present`: what rules would make and other rules, or none that is known, had made before. */
export interface Missing extends Routed {
  readonly present: readonly KeptRoute[];
}

/**
 * What routing would make and the event does not have. A rule has done its work when it made something before; a job that no rule is
 * known for counts as any job of its name. `unknown`: jobs whose name history has forgotten could be those that seem to be missing.
 */
export function missingOf(
  routed: Routed,
  jobs: readonly EventJob[],
  routes: readonly KeptRoute[],
): Missing | "unknown" {
  const made = new Map<string, string[]>();
  const ruled = new Set<string>();
  for (const route of routes) {
    if ("failed" in route) continue;
    if (route.made !== "event") ruled.add(route.id);
    add(made, `${route.made} ${route.rule}`, route.id);
  }
  const named = new Map<string, string[]>();
  let forgotten = 0;
  for (const { id, known } of jobs) {
    if (ruled.has(id)) continue;
    if (known === undefined) forgotten += 1;
    else add(named, known.name, id);
  }
  const { jobs: wanted, events: wantedEvents = [], routes: outcomes = [] } = routed;
  const jobRules = new Map(outcomes.flatMap((one) => ("job" in one ? [[one.job, one] as const] : [])));
  const eventRules = new Map(outcomes.flatMap((one) => ("event" in one ? [[one.event, one] as const] : [])));
  const present: KeptRoute[] = [];

  const keptJobs = [...wanted.keys()].filter((place) => {
    const outcome = jobRules.get(place);
    if (outcome !== undefined && take(made, `${outcome.made} ${outcome.rule}`) !== undefined) return false;
    const id = take(named, wanted[place]?.name ?? "");
    if (id !== undefined && outcome !== undefined) present.push({ rule: outcome.rule, made: outcome.made, id });
    return id === undefined;
  });
  const keptEvents = [...wantedEvents.keys()].filter((place) => {
    const outcome = eventRules.get(place);
    return outcome === undefined || take(made, `event ${outcome.rule}`) === undefined;
  });
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
    present,
  };
}

function add(map: Map<string, string[]>, name: string, id: string): void {
  const ids = map.get(name);
  if (ids === undefined) map.set(name, [id]);
  else ids.push(id);
}

/** Takes one of a name, if there is one. */
function take(map: ReadonlyMap<string, string[]>, name: string): string | undefined {
  return map.get(name)?.shift();
}
