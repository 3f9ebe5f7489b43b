import type { Effect } from "../database-record.ts";
import type { ExpectedSchedule } from "../schedules.ts";
import type { Finding } from "./finding.ts";

/** Each instant of a schedule fired once and no other did. `effects`: key is the schedule, number the instant it was meant for. Pure. */
export function auditSchedules(schedules: readonly ExpectedSchedule[], effects: readonly Effect[]): readonly Finding[] {
  return schedules.flatMap(({ name, everyMs, startMs, endMs, instants }): readonly Finding[] => {
    const findings: Finding[] = [];
    const add = (what: string, facts: Finding["facts"] = {}): void =>
      void findings.push({ rule: "schedule", what: `${name}: ${what}`, facts });
    const times = new Map<number, number>();
    for (const effect of effects) {
      if (effect.key === name) times.set(effect.number, (times.get(effect.number) ?? 0) + 1);
    }
    for (const [instant, count] of times) {
      const isMeant = instant >= startMs && instant <= endMs && instant % everyMs === 0;
      if (!isMeant) add(`it fired for ${new Date(instant).toISOString()}, which is no time of it`);
      if (count > 1) add(`it fired ${count} times for ${new Date(instant).toISOString()}`);
    }
    for (let instant = startMs; instant <= endMs; instant += everyMs) {
      if (instants === "each" && !times.has(instant)) add(`it never fired for ${new Date(instant).toISOString()}`);
    }
    if (times.size === 0 && endMs > startMs) add("it never fired at all");
    return findings;
  });
}
