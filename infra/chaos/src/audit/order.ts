import type { Effect } from "../database-record.ts";
import type { Attempt } from "./attempts.ts";
import { type Finding, groupBy } from "./finding.ts";

/**
 * Jobs of one key, numbered in the order in which they were enqueued: each begins only after the one before has ended for good, whatever
 * failed and was killed meanwhile, and the effects have the same order. Pure.
 */
export function auditOrder(attempts: readonly Attempt[], effects: readonly Effect[]): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [key, own] of groupBy(attempts, ({ key }) => key)) {
    let before: Attempt | undefined;
    for (const attempt of own.filter(counts).toSorted((a, b) => a.startMs - b.startMs)) {
      const isLater = before !== undefined && attempt.number > before.number;
      if (before !== undefined && attempt.number < before.number) {
        findings.push(broken(key, `${attempt.number} began after ${before.number}`, before, attempt));
      } else if (before !== undefined && isLater && before.ending !== "done" && !hasEffect(effects, before)) {
        findings.push(
          broken(key, `${attempt.number} began before ${before.number} had ended for good`, before, attempt),
        );
      } else if (before !== undefined && attempt.startMs < before.endMs) {
        findings.push(broken(key, `${attempt.number} began while ${before.number} ran`, before, attempt));
      }
      before = attempt;
    }
  }
  for (const [key, own] of groupBy(effects, ({ key }) => key)) {
    own.forEach((effect, index) => {
      const before = own[index - 1];
      if (before !== undefined && before.number > effect.number) {
        const what = `key ${key}: the effect of ${effect.number} came after that of ${before.number}`;
        findings.push({ rule: "order", what, facts: { before, effect } });
      }
    });
  }
  return findings;
}

/** One that began when its job was no longer its own is refused at its end, and is nobody's turn. */
const counts = ({ ending, startMs, endMs }: Attempt): boolean => ending !== "overrun" || endMs > startMs;

const hasEffect = (effects: readonly Effect[], { job, fence }: Attempt): boolean =>
  effects.some((effect) => effect.job === job && effect.fence === fence);

const broken = (key: string, what: string, before: Attempt, attempt: Attempt): Finding => ({
  rule: "order",
  what: `key ${key}: ${what}`,
  facts: { before, attempt },
});
