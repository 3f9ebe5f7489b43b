import type { Ledger } from "@warren/ledger";
import type { Found } from "./loop.ts";
import type { Sender } from "./sender.ts";

export interface FlowsOptions {
  readonly ledger: Pick<Ledger, "flows">;
  readonly sender: Sender;
}

const signalsPerRound = 500;
const flowsPerRound = 100;

/** Follows up ends of jobs that their worker has not: it died, or they were completed in a transaction of their own. */
export function followFlows({ ledger, sender }: FlowsOptions): () => Promise<Found> {
  return async () => {
    const { ready, signals } = await ledger.flows.sweep({ limit: signalsPerRound });
    await sender.send(ready, "flow");
    return signals < signalsPerRound ? "idle" : "busy";
  };
}

/** Cancels jobs that fell back to waiting while their flow stops. */
export function stopFlows({ ledger, sender }: FlowsOptions): () => Promise<Found> {
  return async () => {
    const { ready } = await ledger.flows.sweepStopping({ limit: flowsPerRound });
    await sender.send(ready, "flow");
    return "idle";
  };
}
