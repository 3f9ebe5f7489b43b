import type { Database, Row } from "../postgres/database.ts";
import type { TableName } from "../postgres/sql.ts";

export interface ProgressReport {
  readonly id: string;
  readonly attempt: number;
  /** JSON. */
  readonly value: unknown;
}

export interface Progress {
  readonly value: unknown;
  /** The fence of the attempt that reported it. */
  readonly attempt: number;
  readonly at: Date;
}

export interface NewLine {
  readonly id: string;
  readonly attempt: number;
  /** From 0, in the order in which the attempt wrote them. */
  readonly line: number;
  readonly at: Date;
  readonly text: string;
}

export interface LinePage {
  readonly lines: readonly Omit<NewLine, "id">[];
  /** For the next page; `undefined` at the end. */
  readonly next: LineCursor | undefined;
}

export interface LineCursor {
  readonly attempt: number;
  readonly line: number;
}

export interface ProgressLedger {
  /** Keeps the last progress of each job. What an earlier attempt says late changes nothing. One report a job. */
  save(reports: readonly ProgressReport[]): Promise<void>;
  get(id: string): Promise<Progress | undefined>;
  /** Adds lines; repeating it adds none twice. */
  addLines(lines: readonly NewLine[]): Promise<void>;
  /** Lines in order, after the cursor. */
  lines(id: string, page: { readonly after: LineCursor | undefined; readonly limit: number }): Promise<LinePage>;
}

export function createProgressLedger(database: Database, table: TableName): ProgressLedger {
  // Locks progress rows in id order. Index: job_progress (job_id) of the day's partition.
  const save = {
    name: "warren_save_progress",
    text: `insert into ${table("job_progress")} as p (job_id, attempt, value)
      select id, attempt, coalesce(value, 'null')
      from json_to_recordset($1::text::json) as i(id uuid, attempt integer, value jsonb) order by id
      on conflict (job_id) do update
      set attempt = excluded.attempt, value = excluded.value, updated_at = clock_timestamp()
      where p.attempt <= excluded.attempt`,
  };
  const get = {
    name: "warren_progress",
    text: `select value, attempt, updated_at from ${table("job_progress")} where job_id = $1`,
  };
  const addLines = {
    name: "warren_add_lines",
    text: `insert into ${table("job_lines")} (job_id, attempt, line, at, text)
      select id, attempt, line, at, text
      from json_to_recordset($1::text::json) as i(id uuid, attempt integer, line integer, at timestamptz, text text)
      on conflict do nothing`,
  };
  // Index: job_lines (job_id, attempt, line).
  const lines = {
    name: "warren_lines",
    text: `select attempt, line, at, text from ${table("job_lines")}
      where job_id = $1 and (attempt, line) > ($2::integer, $3::integer) order by attempt, line limit $4`,
  };

  return {
    save: async (reports) => {
      if (reports.length > 0) await database.run(save, [JSON.stringify(reports)]);
    },
    get: async (id) => {
      const [row] = await database.run(get, [id]);
      if (row === undefined) return undefined;
      return { value: row["value"], attempt: Number(row["attempt"]), at: row["updated_at"] as Date };
    },
    addLines: async (added) => {
      if (added.length > 0) await database.run(addLines, [JSON.stringify(added)]);
    },
    lines: async (id, { after, limit }) => {
      const rows = await database.run(lines, [id, after?.attempt ?? -1, after?.line ?? -1, limit + 1]);
      const page = rows.slice(0, limit).map(lineOf);
      const last = page.at(-1);
      const hasMore = rows.length > limit && last !== undefined;
      return { lines: page, next: hasMore ? { attempt: last.attempt, line: last.line } : undefined };
    },
  };
}

function lineOf(row: Row): Omit<NewLine, "id"> {
  return {
    attempt: Number(row["attempt"]),
    line: Number(row["line"]),
    at: row["at"] as Date,
    text: String(row["text"]),
  };
}
