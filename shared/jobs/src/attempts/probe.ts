import type { ClaimedJob, Ledger } from "@warren/ledger";
import { type Logger } from "@warren/observability";
import { judgeProbe, type Outcome, type Verdict } from "./verdict.ts";

/**
 * Tells the ledger what a probe found out, where settling it does not. The process that runs it may never have seen the breaker open, so
 * its own breaker says nothing. If the report is lost, the dispatcher lets another probe go after its lease of 30 s.
 */
export async function reportProbe(
  ledger: Pick<Ledger, "reportBreaker">,
  claimed: ClaimedJob,
  outcome: Outcome,
  verdict: Verdict,
  log: Logger,
): Promise<void> {
  const finding = judgeProbe(outcome);
  if (finding === undefined) return;
  const names = verdict.kind === "held" ? [verdict.breaker] : claimed.breakers;
  for (const name of names) {
    try {
      await ledger.reportBreaker({ name, ...finding });
    } catch (error) {
      log.warn({ breaker: name, err: error }, "finding of a probe not reported");
    }
  }
}
