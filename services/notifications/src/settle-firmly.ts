import { setTimeout as delay } from "node:timers/promises";
import { WarrenError } from "@warren/contracts";
import type { Deliveries, DeliverySettlement } from "@warren/ledger";
import type { Logger } from "@warren/observability";

const firstDelayMs = 50;
const longestDelayMs = 2_000;
/** An aborted attempt still gets this long to write down what it knows. */
const graceMs = 2_000;

/**
 * Settles a delivery, again and again while the ledger cannot be reached, until the job's time is up: what the provider answered is known
 * only here, and a mail that was accepted but not noted would be sent twice.
 */
export async function settleFirmly(
  deliveries: Pick<Deliveries, "settle">,
  settlement: DeliverySettlement,
  job: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const graceEnds = Date.now() + graceMs;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
    try {
      const settled = await deliveries.settle(settlement);
      if (settled === "late" || settled === "fenced") {
        job.log.warn({ settled, outcome: settlement.outcome }, "a newer attempt owns this delivery");
      }
      return;
    } catch (error) {
      const again = error instanceof WarrenError && error.retryable;
      if (!again || (job.signal.aborted && Date.now() >= graceEnds)) throw error;
      job.log.warn({ err: error, delayMs }, "delivery not settled yet, trying again");
      await delay(delayMs);
    }
  }
}
