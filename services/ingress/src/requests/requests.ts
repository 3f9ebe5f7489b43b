import {
  createReplaying,
  createRequestRecords,
  type Ledger,
  type Replaying,
  type RequestRecords,
  type StoredRequest,
} from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { Router } from "../routing/router.ts";
import { createReplayLoop, type ReplayLoop } from "./replays.ts";
import { eventOf, type FindSource, judgeStored } from "./stored.ts";

export interface RequestsOptions {
  readonly ledger: Pick<Ledger, "table" | "transaction" | "enqueueIn" | "events" | "control">;
  readonly sourceOf: FindSource;
  readonly router: Pick<Router, "route">;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/** What can be done with requests that have come: find and read them, run their events again, judge them again. */
export interface Requests {
  readonly requests: RequestRecords;
  readonly replaying: Replaying;
  /** Does replays of many in the background. */
  readonly loop: ReplayLoop;
}

export function createRequests({ ledger, sourceOf, router, log, metrics, now }: RequestsOptions): Requests {
  const replaying = createReplaying({
    ledger,
    judge: judgeStored(sourceOf, now),
    route: async (stored: StoredRequest) =>
      router.route(eventOf(sourceOf, stored), { correlationId: stored.correlationId, trace: undefined }),
  });
  return {
    requests: createRequestRecords({ ledger }),
    replaying,
    loop: createReplayLoop({ replaying, log, metrics }),
  };
}
