import type { JobState } from "../job.ts";

/** Which jobs: all that is given must hold. */
export interface JobFilter {
  readonly queue?: string;
  /** Name of the job definition. */
  readonly name?: string;
  readonly states?: readonly JobState[];
  /** Why they are dead or cancelled: a code, or what a cancel said. */
  readonly reason?: string;
  /** Made at this instant or later. */
  readonly createdFrom?: Date;
  /** Made before this instant. */
  readonly createdBefore?: Date;
  /** Ended at this instant or later; only finished jobs. */
  readonly finishedFrom?: Date;
  /** Ended before this instant; only finished jobs. */
  readonly finishedBefore?: Date;
  /** Searchable fields and their exact values. */
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  readonly schedule?: string;
  /** What limits and order go by. */
  readonly key?: string;
}

/** A filter as a JSON value, which is how operations keep it. */
export const filterJson = (filter: JobFilter): string => JSON.stringify(filter);

/**
 * The conditions of a filter over rows `j`, its JSON text being parameter `$n`. What a table has no column for matches nothing there.
 */
export function filterSql(parameter: number, source: "jobs" | "jobs_history"): string {
  const f = `($${parameter}::text::jsonb)`;
  const text = (field: string, column: string): string =>
    `(${f} -> '${field}' is null or ${column} = ${f} ->> '${field}')`;
  const instant = (field: string, condition: string): string =>
    `(${f} -> '${field}' is null or ${condition} (${f} ->> '${field}')::timestamptz)`;
  const isFinished = source === "jobs_history";
  return [
    text("queue", "j.queue"),
    text("name", "j.name"),
    text("schedule", "j.schedule"),
    text("key", "j.limit_key"),
    `(${f} -> 'states' is null or ${f} -> 'states' ? j.state)`,
    `(${f} -> 'attributes' is null or j.attributes @> (${f} -> 'attributes'))`,
    instant("createdFrom", "j.created_at >="),
    instant("createdBefore", "j.created_at <"),
    isFinished ? text("reason", "j.reason") : `${f} -> 'reason' is null`,
    isFinished ? instant("finishedFrom", "j.finished_at >=") : `${f} -> 'finishedFrom' is null`,
    isFinished ? instant("finishedBefore", "j.finished_at <") : `${f} -> 'finishedBefore' is null`,
  ].join("\n      and ");
}
