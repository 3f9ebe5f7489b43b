import type { Effect, Move } from "../database-record.ts";
import {
  capped,
  delayed,
  ended,
  exact,
  happened,
  joined,
  latest,
  limits,
  loose,
  ordered,
  rated,
  single,
  step,
  subscriptions,
  tick,
  undo,
} from "../jobs.ts";
import type { Note } from "../notes.ts";
import type { Promised, PromisedFlow, Refusal } from "../promises.ts";
import type { ExpectedSchedule } from "../schedules.ts";
import { type Attempt, attemptsOf, type ProcessExit } from "./attempts.ts";
import type { Finding } from "./finding.ts";
import { auditFlows } from "./flows.ts";
import { auditConcurrency, auditEarly, auditRate, mostAtOnce } from "./limits.ts";
import { auditDoubled, auditInvented, auditLost, auditTransactions } from "./once.ts";
import { auditOrder } from "./order.ts";
import { auditSchedules } from "./schedules.ts";
import { auditLatest, auditUnique } from "./uniqueness.ts";

/** All that is known of a run when it is over. */
export interface Records {
  readonly promised: readonly Promised[];
  readonly flows: readonly PromisedFlow[];
  readonly refusals: readonly Refusal[];
  readonly schedules: readonly ExpectedSchedule[];
  readonly notes: readonly Note[];
  readonly exits: readonly ProcessExit[];
  readonly effects: readonly Effect[];
  readonly moves: readonly Move[];
  readonly orders: readonly number[];
}

export interface Audited {
  readonly findings: readonly Finding[];
  readonly attempts: readonly Attempt[];
  readonly counts: Readonly<Record<string, number>>;
}

const plainKinds = [loose, exact, joined, delayed, ordered, capped, rated, single, latest].map(({ name }) => name);
const uniqueKinds = [single.name, latest.name];
const eventKinds = subscriptions.map((name) => `event.${name}`);

/** Holds what was done against what was promised. Pure. */
export function audit(records: Records): Audited {
  const { flows, effects, moves, schedules } = records;
  const attempts = attemptsOf(records.notes, records.exits, moves, effects);
  // what one publisher was promised, each subscription owes
  const promised = records.promised.flatMap((one) =>
    one.kind === happened.type ? eventKinds.map((kind) => ({ ...one, kind })) : [one],
  );
  const attemptsOfKind = (kind: string): readonly Attempt[] => attempts.filter((attempt) => attempt.kind === kind);
  const effectsOfKind = (kind: string): readonly Effect[] => effects.filter((effect) => effect.kind === kind);
  const unique = (kind: string) => ({
    promised: promised.filter((one) => one.kind === kind),
    effects: effectsOfKind(kind),
    attempts: attemptsOfKind(kind),
  });
  const claimed = moves.filter(({ what }) => what === "claimed");
  const starts = claimed.filter(({ queue }) => queue === rated.queue).map(({ atMs }) => atMs);
  const flowKinds = { step: step.name, undo: undo.name, ended: ended.name };

  const findings = [
    ...auditLost(promised, effects, attempts, { loose: loose.name, unique: uniqueKinds }),
    ...auditDoubled(effects),
    ...auditInvented(
      effects.filter(({ kind }) => [...plainKinds, ...eventKinds].includes(kind)),
      promised,
    ),
    ...auditTransactions(promised, records.orders, effects, joined.name),
    ...auditOrder(attemptsOfKind(ordered.name), effectsOfKind(ordered.name)),
    ...auditConcurrency(attemptsOfKind(capped.name), limits["chaos-capped"]),
    ...auditRate(starts, limits["chaos-rated"].rate),
    ...auditEarly(moves),
    ...auditUnique(unique(single.name)),
    ...auditUnique(unique(latest.name)),
    ...auditLatest(unique(latest.name)),
    ...auditFlows(flows, effects, attempts, flowKinds),
    ...auditSchedules(schedules, effectsOfKind(tick.name)),
    ...records.refusals.map(
      (facts): Finding => ({
        rule: "refused",
        what: `${facts.kind}: ${facts.code}: ${facts.message}`,
        facts: { ...facts },
      }),
    ),
  ];
  const ending = (kind: Attempt["ending"]): number => attempts.filter((attempt) => attempt.ending === kind).length;
  const endsOf = (state: string): number => effectsOfKind(ended.name).filter(({ key }) => key === state).length;
  const looseDone = attemptsOfKind(loose.name).filter(({ ending }) => ending === "done");
  return {
    findings,
    attempts,
    counts: {
      calls: records.promised.length + flows.length,
      acknowledged: [...records.promised, ...flows].filter(({ answer }) => answer === "acked").length,
      unknown: [...records.promised, ...flows].filter(({ answer }) => answer === "unknown").length,
      deduplicated: records.promised.filter(
        ({ answer, created, kind }) => uniqueKinds.includes(kind) && answer === "acked" && !created,
      ).length,
      effects: effects.length,
      attempts: attempts.length,
      done: ending("done"),
      failedByPlan: ending("failed"),
      stopped: ending("stopped"),
      cutByKill: ending("cut"),
      overrunOfLease: ending("overrun"),
      looseRunsBeyondTheFirst: looseDone.length - new Set(looseDone.map(({ number }) => number)).size,
      claims: claimed.length,
      mostOfCappedAtOnce: mostAtOnce(attemptsOfKind(capped.name)).most,
      ratedStarts: starts.length,
      scheduledRuns: effectsOfKind(tick.name).length,
      eventsHandled: effects.filter(({ kind }) => eventKinds.includes(kind)).length,
      flows: flows.length,
      flowsSucceeded: endsOf("succeeded"),
      flowsCompensated: endsOf("compensated"),
      flowsFailed: endsOf("failed"),
      flowsCancelled: endsOf("cancelled"),
      compensations: effectsOfKind(undo.name).length,
    },
  };
}
