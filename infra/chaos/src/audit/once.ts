import type { Effect } from "../database-record.ts";
import type { Promised } from "../promises.ts";
import type { Attempt } from "./attempts.ts";
import { type Finding, groupBy } from "./finding.ts";

/**
 * What was promised ran to its end: a transactional job left its effect, another one the note of an attempt that was done. What was
 * deduplicated is promised by the job that holds its key (see `uniqueness`). Pure.
 */
export function auditLost(
  promised: readonly Promised[],
  effects: readonly Effect[],
  attempts: readonly Attempt[],
  { loose, unique }: { readonly loose: string; readonly unique: readonly string[] },
): readonly Finding[] {
  const done = new Set(effects.map(({ kind, number }) => `${kind} ${number}`));
  for (const { kind, number, ending } of attempts)
    if (kind === loose && ending === "done") done.add(`${kind} ${number}`);
  return promised
    .filter(({ answer, kind }) => answer === "acked" && !unique.includes(kind))
    .filter(({ kind, number }) => !done.has(`${kind} ${number}`))
    .map(({ kind, number, job, key }) => ({
      rule: "lost",
      what: `${kind} ${number} was promised and never done`,
      facts: { job, key, attempts: attempts.filter((attempt) => attempt.job === job) },
    }));
}

/** No job, and no number of a kind, has two effects. Pure. */
export function auditDoubled(effects: readonly Effect[]): readonly Finding[] {
  const findings: Finding[] = [];
  const check = (what: string, identity: (effect: Effect) => string): void => {
    for (const [id, same] of groupBy(effects, identity)) {
      if (same.length > 1)
        findings.push({ rule: "doubled", what: `${id} ${what} ${same.length} times`, facts: { same } });
    }
  };
  check("had its effect", ({ kind, number, key }) => `${kind} ${number} ${key}`);
  check("took effect as a job", ({ kind, job }) => `${kind} ${job}`);
  return findings;
}

/** Nothing had an effect that nobody asked for. Pure. */
export function auditInvented(
  effects: readonly Effect[],
  asked: readonly Pick<Promised, "kind" | "number">[],
): readonly Finding[] {
  const known = new Set(asked.map(({ kind, number }) => `${kind} ${number}`));
  return effects
    .filter(({ kind, number }) => !known.has(`${kind} ${number}`))
    .map((effect) => ({
      rule: "invented",
      what: `${effect.kind} ${effect.number} was never asked for`,
      facts: { effect },
    }));
}

/** The caller's row and the job are there together or not at all, whatever the caller was told. Pure. */
export function auditTransactions(
  promised: readonly Promised[],
  orders: readonly number[],
  effects: readonly Effect[],
  kind: string,
): readonly Finding[] {
  const rows = new Set(orders);
  const ran = new Set(effects.filter((effect) => effect.kind === kind).map(({ number }) => number));
  return promised
    .filter((one) => one.kind === kind)
    .flatMap(({ number, answer }): readonly Finding[] => {
      const facts = { answer, row: rows.has(number), ran: ran.has(number) };
      if (answer === "acked" && !facts.row) {
        return [
          { rule: "transaction", what: `${kind} ${number}: a commit was answered and the row is not there`, facts },
        ];
      }
      if (facts.row === facts.ran) return [];
      const what = facts.row ? "the row is there and its job never ran" : "the job ran and the row is not there";
      return [{ rule: "transaction", what: `${kind} ${number}: ${what}`, facts }];
    });
}
