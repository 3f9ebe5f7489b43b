import { openPayloads, type Payloads, sweepPayloads } from "@warren/jobs";
import type { Ledger } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { DispatcherConfig } from "./config.ts";
import type { Found } from "./loop.ts";

export interface SweepingOptions {
  readonly ledger: Pick<Ledger, "payloads">;
  readonly payloads: Pick<Payloads, "store">;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Key ring and store of the settings; the dispatcher only sweeps, and needs no keys. */
export function storeOf(config: DispatcherConfig): Pick<Payloads, "store"> {
  return openPayloads({ ...config, WARREN_PAYLOAD_KEYS: undefined });
}

/** Deletes objects of the payload store that no job refers to; dispatchers take turns, one full sweep an hour. */
export function sweepStore({ ledger, payloads: { store }, log, metrics }: SweepingOptions): () => Promise<Found> {
  const looked = metrics.counter({
    name: "warren_payload_objects_looked_at_total",
    help: "Objects of the payload store that a sweep has looked at",
    labels: [],
  });
  const deleted = metrics.counter({
    name: "warren_payload_objects_swept_total",
    help: "Objects of the payload store that no job referred to and that were deleted",
    labels: [],
  });
  return async () => {
    if (store === undefined) return "idle";
    const swept = await sweepPayloads({ store, ledger });
    looked.inc({}, swept.looked);
    deleted.inc({}, swept.deleted);
    if (swept.deleted > 0) log.info({ store: store.name, ...swept }, "payload store swept");
    return swept.more ? "busy" : "idle";
  };
}
