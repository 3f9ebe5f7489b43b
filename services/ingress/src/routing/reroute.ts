import { WarrenError } from "@warren/contracts";
import {
  type KeptRoute,
  LedgerConflictError,
  LedgerDataError,
  type Rerouting,
  type RoutableRequest,
} from "@warren/ledger";
import { createEvent, type WebhookEvent } from "../intake/event.ts";
import { isProviderName } from "../sources/providers.ts";
import { type Routed, withoutOutput } from "./routed.ts";
import type { Router } from "./router.ts";

export interface RerouteOptions {
  readonly store: Rerouting;
  readonly router: Pick<Router, "route" | "accepted">;
  /** Tells workers of committed jobs. */
  readonly announce: (jobs: readonly { readonly id: string; readonly queue: string }[]) => void;
}

/** What came of routing a stored event again: only what this call made, and the failures that there are now. */
export interface RerouteResult {
  readonly requestId: string;
  readonly routing: "unmatched" | "failed" | undefined;
  readonly routes: readonly KeptRoute[];
}

/**
 * Routes an accepted request again by the rules of now. Rules that made something of it before are left out, so nothing is done twice;
 * `anew` runs them all, and has new effects. Races with others who do the same are settled by the row.
 * @throws WarrenError `ROUTE_REQUEST_UNKNOWN`, `ROUTE_REQUEST_NOT_ACCEPTED`.
 */
export type Reroute = (requestId: string, how: { readonly anew: boolean }) => Promise<RerouteResult>;

const mostRounds = 3;

export function createReroute({ store, router, announce }: RerouteOptions): Reroute {
  return async (requestId, { anew }) => {
    for (let round = 0; round < mostRounds; round += 1) {
      const request = await store.find(requestId);
      const event = eventOfRequest(request, requestId);
      const origin = { correlationId: event.request.correlationId, trace: undefined };
      let routed = await router.route(event, origin, (rule) => !anew && hasMade(event.request, rule));
      let written: Awaited<ReturnType<Rerouting["write"]>>;
      try {
        written = await store.write(event.request, withReport(routed));
      } catch (error) {
        if (!(error instanceof LedgerDataError)) throw error;
        routed = withoutOutput(routed, error.message);
        written = await store.write(event.request, withReport(routed));
      }
      if (written === "changed") continue;
      if (written.ready.length > 0) announce(written.ready);
      router.accepted(event, routed);
      return { requestId, routing: written.routing, routes: written.made };
    }
    throw new LedgerConflictError(`the request ${requestId} is being routed by others`);
  };
}

const withReport = ({ jobs, events, routes = [] }: Routed) => ({ jobs, events, routes });

/** A report is missing where rules in code did all they had to do: the jobs that no report names are theirs. */
function hasMade({ routes = [], jobIds, runs }: RoutableRequest, rule: string): boolean {
  const made = [...routes, ...runs.routes].flatMap((route) => ("made" in route ? [route] : []));
  if (made.some((route) => route.rule === rule)) return true;
  const named = new Set(made.map(({ id }) => id));
  return rule.startsWith("code/") && (jobIds.some((id) => !named.has(id)) || runs.hasUnreported);
}

/** The event of a stored request. @throws WarrenError `ROUTE_REQUEST_UNKNOWN`, `ROUTE_REQUEST_NOT_ACCEPTED`. */
export function eventOfRequest(
  request: RoutableRequest | undefined,
  requestId: string,
): WebhookEvent & { readonly request: RoutableRequest } {
  if (request === undefined) throw new WarrenError("ROUTE_REQUEST_UNKNOWN", `there is no request ${requestId}`);
  const { provider, body, status } = request;
  if (status !== "accepted" || body === undefined || provider === undefined || !isProviderName(provider)) {
    throw new WarrenError("ROUTE_REQUEST_NOT_ACCEPTED", `the request ${requestId} is ${status}`);
  }
  const event = createEvent({ ...request, requestId, provider, body, parsed: undefined });
  return { ...event, request };
}
