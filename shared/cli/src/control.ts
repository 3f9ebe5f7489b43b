import { type Control, createControl } from "@warren/jobs";
import type { BulkAction, BulkOperation, JobFilter, JobRecord, JobState } from "@warren/ledger";
import { commandLog, connectLedger } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import type { LedgerCommand } from "./ledger.ts";
import { printJson, printRows, say } from "./output.ts";

/** Without the broker: a cancel reaches its worker with the next heartbeat. */
async function within<T>({ environment }: LedgerCommand, work: (control: Control) => Promise<T>): Promise<T> {
  await using ledger = await connectLedger(environment);
  await using control = createControl({ ledger, log: commandLog() });
  return await work(control);
}

export interface OnJob {
  readonly id: string;
}

export async function jobCancel(command: LedgerCommand & OnJob & { readonly reason: string; readonly by: string }) {
  const { output, id, reason, by } = command;
  const answer = await within(command, (control) => control.cancel(id, { reason, by }));
  if (output.format === "json") printJson(output, answer);
  switch (answer.kind) {
    case "cancelled":
      say(output, `job ${id} is cancelled`);
      return exitCodes.ok;
    case "requested":
      say(output, `job ${id} runs; its worker aborts it at its next heartbeat`);
      return exitCodes.ok;
    case "finished":
      say(output, `job ${id} is ${answer.state} already`);
      return exitCodes.ok;
    case "missing":
      say(output, `no job ${id}: wrong id, or its history is past retention`);
      return exitCodes.notFound;
    default:
      return answer satisfies never;
  }
}

export async function jobRetry(command: LedgerCommand & OnJob & { readonly attempts?: number }): Promise<ExitCode> {
  const { id, attempts } = command;
  const job = await within(command, async (control) => {
    await control.retry(id, attempts === undefined ? {} : { attempts });
    return control.job(id);
  });
  // in a flow it may wait for another that came back with it
  return done(command, { id, state: job?.state }, `job ${id} is back: ${job?.state ?? "removed since"}`);
}

export async function jobDiscard(command: LedgerCommand & OnJob & { readonly by: string }): Promise<ExitCode> {
  const { id, by } = command;
  await within(command, (control) => control.discard(id, { by }));
  return done(command, { id, discarded: true }, `job ${id} is discarded; restore takes it back`);
}

export async function jobRestore(command: LedgerCommand & OnJob & { readonly by: string }): Promise<ExitCode> {
  const { id, by } = command;
  await within(command, (control) => control.restore(id, { by }));
  return done(command, { id, discarded: false }, `job ${id} is restored`);
}

/** What the command line says of a filter. */
interface FilterFlags {
  readonly queue?: string;
  readonly name?: string;
  readonly state?: readonly JobState[];
  readonly reason?: string;
  readonly after?: Date;
  readonly before?: Date;
  readonly schedule?: string;
  readonly key?: string;
  readonly attribute?: Readonly<Record<string, string>>;
}

function filterOf(flags: FilterFlags): JobFilter {
  const { queue, name, state, reason, after, before, schedule, key, attribute } = flags;
  return {
    ...(queue === undefined ? {} : { queue }),
    ...(name === undefined ? {} : { name }),
    ...(state === undefined ? {} : { states: state }),
    ...(reason === undefined ? {} : { reason }),
    ...(after === undefined ? {} : { createdFrom: after }),
    ...(before === undefined ? {} : { createdBefore: before }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(key === undefined ? {} : { key }),
    ...(attribute === undefined ? {} : { attributes: attribute }),
  };
}

export interface ListFlags extends FilterFlags {
  readonly limit: number;
  readonly cursor?: string;
  readonly newer?: boolean;
  readonly discarded?: boolean;
}

export async function jobList(command: LedgerCommand & { readonly flags: ListFlags }): Promise<ExitCode> {
  const { output, flags } = command;
  const { limit, cursor, newer, discarded } = flags;
  const page = await within(command, (control) =>
    control.list({
      ...filterOf(flags),
      limit,
      ...(cursor === undefined ? {} : { cursor }),
      direction: newer === true ? "newer" : "older",
      discarded: discarded === true,
    }),
  );
  if (output.format === "json") printJson(output, page);
  else {
    printRows(output, ["id", "queue", "name", "state", "attempt", "reason", "created"], page.jobs.map(row));
    if (page.next !== undefined) say(output, `more: --cursor ${page.next}`);
  }
  return exitCodes.ok;
}

const row = ({ id, queue, name, state, attempt, excused, reason, createdAt }: JobRecord) => ({
  id,
  queue,
  name,
  state,
  attempt: attempt - excused,
  reason,
  created: createdAt.toISOString(),
});

export async function jobLines(command: LedgerCommand & OnJob): Promise<ExitCode> {
  const { output, id } = command;
  return within(command, async (control) => {
    if ((await control.job(id)) === undefined) {
      say(output, `no job ${id}: wrong id, or its history is past retention`);
      return exitCodes.notFound;
    }
    const all = [];
    let page = await control.lines(id);
    all.push(...page.lines);
    while (page.next !== undefined) {
      page = await control.lines(id, { after: page.next });
      all.push(...page.lines);
    }
    if (output.format === "json") printJson(output, all);
    else for (const { at, attempt, text } of all) output.write(`${at.toISOString()} ${attempt} ${text}\n`);
    return exitCodes.ok;
  });
}

export async function jobWait(command: LedgerCommand & OnJob & { readonly timeoutMs: number }): Promise<ExitCode> {
  const { output, id, timeoutMs } = command;
  printJson(output, (await within(command, (control) => control.waitFor(id, { timeoutMs }))) ?? null);
  return exitCodes.ok;
}

export interface BulkFlags extends FilterFlags {
  readonly by: string;
  readonly why: string;
  readonly rate?: number;
  readonly limit?: number;
  readonly dryRun?: boolean;
}

export async function bulkStart(
  command: LedgerCommand & { readonly action: BulkAction; readonly flags: BulkFlags },
): Promise<ExitCode> {
  const { output, action, flags } = command;
  const { by, why: reason, rate, limit, dryRun } = flags;
  const filter = filterOf(flags);
  if (dryRun === true) {
    const jobs = await within(command, (control) => control.bulk.count(action, filter));
    return done(command, { jobs }, `${jobs} jobs match; nothing is changed`);
  }
  const operation = await within(command, (control) =>
    control.bulk.start(action, {
      filter,
      by,
      reason,
      ...(rate === undefined ? {} : { rate }),
      ...(limit === undefined ? {} : { limit }),
    }),
  );
  if (output.format === "json") printJson(output, operation);
  else say(output, `bulk operation ${operation.id}: ${operation.matched} jobs; the dispatcher does it`);
  return exitCodes.ok;
}

export async function bulkList(command: LedgerCommand): Promise<ExitCode> {
  show(command, await within(command, (control) => control.bulk.list()));
  return exitCodes.ok;
}

export async function bulkTurn(
  command: LedgerCommand & OnJob & { readonly by: string; readonly turn: "pause" | "resume" | "abort" },
): Promise<ExitCode> {
  const { id, by, turn } = command;
  show(command, [await within(command, (control) => control.bulk[turn](id, { by }))]);
  return exitCodes.ok;
}

function show({ output }: LedgerCommand, operations: readonly BulkOperation[]): void {
  if (output.format === "json") {
    printJson(output, operations);
    return;
  }
  printRows(
    output,
    ["id", "action", "state", "by", "reason", "matched", "changed", "skipped", "skips"],
    operations.map(({ id, action, state, by, reason, matched, changed, skipped, skips }) => ({
      id,
      action,
      state,
      by,
      reason,
      matched,
      changed,
      skipped,
      skips: Object.entries(skips)
        .map(([code, jobs]) => `${code} ${jobs}`)
        .join(", "),
    })),
  );
}

function done({ output }: LedgerCommand, value: unknown, sentence: string): ExitCode {
  if (output.format === "json") printJson(output, value);
  else say(output, sentence);
  return exitCodes.ok;
}
