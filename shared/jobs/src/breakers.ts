import type { Ledger } from "@warren/ledger";
import type { BreakerChange } from "@warren/resilience";

/**
 * Tells the ledger about a provider's breakers, so that an open one holds its jobs everywhere. Give it to `createProvider` as
 * `onBreakerChange`; the provider repeats a report that failed.
 */
export function reportBreakersTo(ledger: Pick<Ledger, "reportBreaker">): (change: BreakerChange) => Promise<void> {
  return async ({ breaker, state }) => {
    switch (state.kind) {
      case "closed":
        await ledger.reportBreaker({ name: breaker, state: "closed" });
        return;
      case "open":
        await ledger.reportBreaker({
          name: breaker,
          state: "open",
          retryAfterMs: Math.max(0, state.retryAt.getTime() - Date.now()),
        });
        return;
      case "half_open":
        // whether jobs may try again is the dispatcher's to decide, for all processes at once
        return;
      default:
        state satisfies never;
    }
  };
}
