import Table from "cli-table3";

export type OutputFormat = "table" | "json";

/** Where a command writes, and how. */
export interface Output {
  readonly format: OutputFormat;
  /** Whether a person looks: borders and padding only then, so that pipes get one plain line a row. */
  readonly isTerminal: boolean;
  readonly write: (text: string) => void;
}

export type Row = Readonly<Record<string, string | number | undefined>>;

/** Writes rows as a table, as tab-separated lines (no terminal), or as JSON. */
export function printRows(output: Output, columns: readonly string[], rows: readonly Row[]): void {
  if (output.format === "json") {
    printJson(output, rows);
    return;
  }
  const cells = rows.map((row) => columns.map((column) => String(row[column] ?? "")));
  if (!output.isTerminal) {
    for (const line of [columns, ...cells]) output.write(`${line.map(oneLine).join("\t")}\n`);
    return;
  }
  const table = new Table({ head: [...columns], style: { head: [], border: [] } });
  table.push(...cells);
  output.write(`${table.toString()}\n`);
}

type Field = {
  readonly field: string;
  readonly value: string;
};

/** Writes what is known of one thing, a line a member; those that are null are left out. */
export function printFields(output: Output, value: object, more: readonly Field[] = []): void {
  const fields = Object.entries(value).flatMap(([field, one]: [string, unknown]) =>
    one === null ? [] : [{ field, value: typeof one === "string" ? one : JSON.stringify(one) }],
  );
  printRows(output, ["field", "value"], [...fields, ...more]);
}

export function printJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** A sentence for people; nothing in JSON, where the result alone speaks. */
export function say(output: Output, sentence: string): void {
  if (output.format === "table") output.write(`${sentence}\n`);
}

function oneLine(cell: string): string {
  return cell.replaceAll(/[\t\n\r]+/g, " ");
}
