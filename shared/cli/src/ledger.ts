import { WarrenError } from "@warren/contracts";
import { openPayloads, payloadSettings, viewJob } from "@warren/jobs";
import { type JobRecord, migrate } from "@warren/ledger";
import { type Environment, ledgerConfig, readConfig } from "@warren/service";
import { commandLog, connectLedger } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { type Output, printJson, printRows, say } from "./output.ts";

export interface LedgerCommand {
  readonly environment: Environment;
  readonly output: Output;
}

/** Applies what is missing; safe to run at any time and by several at once. */
export async function migrateUp({ environment, output }: LedgerCommand): Promise<ExitCode> {
  const [{ DATABASE_URL: connectionString, WARREN_SCHEMA: schema }] = readConfig([ledgerConfig], environment);
  const result = await migrate({ connectionString, schema, log: commandLog() });
  if (output.format === "json") printJson(output, { schema, ...result });
  else if (result.applied.length === 0) say(output, `schema ${schema} is up to date at version ${result.version}`);
  else say(output, `schema ${schema}: applied ${result.applied.join(", ")}; now at version ${result.version}`);
  return exitCodes.ok;
}

/** Tells whether the schema is what this binary needs; `unhealthy` if not. */
export async function migrateStatus({ environment, output }: LedgerCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const { schema } = ledger;
  try {
    await ledger.checkSchema();
  } catch (error) {
    if (!(error instanceof WarrenError) || !error.code.startsWith("LEDGER_SCHEMA_")) throw error;
    if (output.format === "json") printJson(output, { schema, state: error.code, detail: error.message });
    else say(output, `${error.code}: ${error.message}`);
    return exitCodes.unhealthy;
  }
  const { rows } = await ledger.query(
    `select version, name, applied_at from ${ledger.table("migrations")} order by version`,
    [],
  );
  if (output.format === "json") printJson(output, { schema, state: "current", migrations: rows });
  else {
    printRows(
      output,
      ["version", "name", "applied"],
      rows.map((row) => ({
        version: Number(row["version"]),
        name: String(row["name"]),
        applied: text(row["applied_at"]),
      })),
    );
  }
  return exitCodes.ok;
}

/** Shows all that the ledger knows of one job; `notFound` if it knows none. */
export async function jobShow({ environment, output, id }: LedgerCommand & { readonly id: string }): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const job = await ledger.findJob(id);
  if (job === undefined) {
    if (output.format === "json") printJson(output, null);
    else say(output, `no job ${id}: wrong id, or its history is past retention`);
    return exitCodes.notFound;
  }
  // sealed data is shown to who has the keys and the store, and else a placeholder
  const [settings] = readConfig([payloadSettings], environment);
  const shown = await viewJob(job, openPayloads(settings));
  if (output.format === "json") printJson(output, shown);
  else printRows(output, ["field", "value"], fields(shown));
  return exitCodes.ok;
}

function fields(job: JobRecord): readonly { readonly field: string; readonly value: string }[] {
  return Object.entries(job).flatMap(([field, value]) => {
    if (value === undefined || value === null) return [];
    if (field === "errors") {
      return job.errors.map(({ attempt, at, code, message }) => ({
        field: `error ${attempt}`,
        value: `${at} ${code}: ${message}`,
      }));
    }
    return [{ field, value: text(value) }];
  });
}

function text(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  return typeof value === "string" ? value : JSON.stringify(value);
}
