import type { ClaimedJob } from "@warren/ledger";
import { type Logger } from "@warren/observability";
import { type Backoff, type CustomBackoff, defaultBackoff, readCustomDelay } from "../backoff.ts";
import { countedAttempt } from "../job.ts";
import type { Deadlines } from "./deadlines.ts";
import { decide, type Outcome, type RetryPolicy, type Verdict } from "./verdict.ts";

export interface JudgeOptions {
  readonly deadlines: Deadlines;
  readonly log: Logger;
  readonly random: () => number;
}

/** Finds the verdict on an attempt: `decide`, and before it, where the job has one, its own backoff rule. Never rejects. */
export type Judge = (
  outcome: Outcome,
  claimed: ClaimedJob,
  rules: { readonly backoff: Backoff; readonly maxClaims: number | undefined },
) => Promise<Verdict>;

const customBackoffLimitMs = 5_000;

export function createJudge({ deadlines, log, random }: JudgeOptions): Judge {
  /** Asks the job's own rule; a rule that fails must not cost the job its outcome. */
  async function ask(
    rule: CustomBackoff,
    claimed: ClaimedJob,
    error: unknown,
  ): Promise<RetryPolicy["backoff"] | undefined> {
    const facts = { job: claimed.name, jobId: claimed.id, code: "JOB_BACKOFF_FAILED" };
    const { promise: late, resolve } = Promise.withResolvers<"late">();
    const deadline = deadlines.add(customBackoffLimitMs, () => resolve("late"));
    try {
      const { maxAttempts, payload } = claimed;
      const answer = await Promise.race([
        rule({ attempt: countedAttempt(claimed), maxAttempts, error, payload }),
        late,
      ]);
      const read = readCustomDelay(answer);
      if (read === "stop") return { kind: "stop" };
      if (read !== undefined) return { kind: "chosen", delayMs: read.delayMs };
      log.error(facts, "the job's backoff function gave no delay; the default is used");
    } catch (mistake) {
      log.error({ ...facts, err: mistake }, "the job's backoff function threw; the default is used");
    } finally {
      deadline.cancel();
    }
    return undefined;
  }

  return async (outcome, claimed, { backoff, maxClaims }) => {
    const policy: RetryPolicy = {
      attempt: countedAttempt(claimed),
      maxAttempts: claimed.maxAttempts,
      backoff: typeof backoff === "function" ? defaultBackoff : backoff,
      probe: claimed.probe,
      excused: claimed.excused,
      claims: claimed.attempt,
      maxClaims: maxClaims ?? Number.POSITIVE_INFINITY,
    };
    const verdict = decide(outcome, policy, random);
    if (verdict.kind !== "retrying" || typeof backoff !== "function" || outcome.kind !== "threw") return verdict;
    const chosen = await ask(backoff, claimed, outcome.error);
    return chosen === undefined ? verdict : decide(outcome, { ...policy, backoff: chosen }, random);
  };
}
