import type { Publisher } from "@warren/amqp";
import { hintCancels } from "@warren/jobs";
import type { Ledger } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Found } from "./loop.ts";

export interface BulkOptions {
  readonly ledger: Pick<Ledger, "control">;
  readonly publisher: Pick<Publisher, "publish">;
  readonly log: Logger;
}

/** Does operations on many jobs, a batch at a time, and tells workers of running jobs that were cancelled. */
export function runBulk({ ledger, publisher, log }: BulkOptions): () => Promise<Found> {
  return async () => {
    const step = await ledger.control.bulk.step();
    if (step === undefined) return "idle";
    await hintCancels(publisher, step.cancels, log);
    return "busy";
  };
}

const resultsPerRound = 1_000;

/** Forgets results whose time is over, and watches whose watchers are gone. */
export function sweepControl({ ledger }: Pick<BulkOptions, "ledger">): () => Promise<Found> {
  return async () => {
    const swept = await ledger.control.results.sweep({ limit: resultsPerRound });
    await ledger.control.watches.sweep();
    return swept < resultsPerRound ? "idle" : "busy";
  };
}
