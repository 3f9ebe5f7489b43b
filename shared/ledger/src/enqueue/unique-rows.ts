import type { NewJob, Uniqueness } from "../job.ts";
import type { JobRow } from "./job-insert.ts";

/** A job that holds a unique key of its name, on its way in. */
export type UniqueRow = JobRow & { readonly job: { readonly unique: Uniqueness } };

/** The jobs of one enqueue. */
export type Call<Row extends Keyed = JobRow> = readonly Row[];

interface Keyed {
  readonly job: Pick<NewJob, "name" | "unique">;
}

export function hasKey(row: JobRow): row is UniqueRow {
  return row.job.unique !== undefined;
}

export function byKey(a: UniqueRow, b: UniqueRow): number {
  const [left, right] = [keyOf(a), keyOf(b)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

const keyOf = ({ job }: Keyed): string => `${job.name}\n${job.unique?.key ?? ""}`;

/** Calls that may share a transaction: a key is in one of them only. A call that repeats a key of its own travels alone. */
export function groupsWithoutSharedKeys<Row extends Keyed>(
  calls: readonly Call<Row>[],
): readonly (readonly Call<Row>[])[] {
  const groups: { readonly calls: Call<Row>[]; readonly keys: Set<string>; readonly alone: boolean }[] = [];
  for (const call of calls) {
    const keys = call.filter(({ job }) => job.unique !== undefined).map(keyOf);
    const distinct = new Set(keys);
    const alone = distinct.size < keys.length;
    // not before a group that has one of its keys: callers of one process meet each other in their order
    const from = groups.findLastIndex((group) => !group.keys.isDisjointFrom(distinct)) + 1;
    const group = alone ? undefined : groups.slice(from).find((one) => !one.alone);
    if (group === undefined) groups.push({ calls: [call], keys: distinct, alone });
    else {
      group.calls.push(call);
      for (const key of distinct) group.keys.add(key);
    }
  }
  return groups.map((group) => group.calls);
}

/** Rows in turns: a key is once in each, and a row comes after those with its key before it. */
export function roundsWithoutSharedKeys<Row extends Keyed>(rows: readonly Row[]): readonly (readonly Row[])[] {
  const rounds: { readonly rows: Row[]; readonly keys: Set<string> }[] = [];
  for (const row of rows) {
    const key = row.job.unique === undefined ? undefined : keyOf(row);
    const from = key === undefined ? 0 : rounds.findLastIndex((round) => round.keys.has(key)) + 1;
    const round = rounds[from];
    if (round === undefined) rounds.push({ rows: [row], keys: new Set(key === undefined ? [] : [key]) });
    else {
      round.rows.push(row);
      if (key !== undefined) round.keys.add(key);
    }
  }
  return rounds.map((round) => round.rows);
}
