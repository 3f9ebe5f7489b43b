import { previewFirings, type Schedule } from "@warren/ledger";
import { connectLedger } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import type { LedgerCommand } from "./ledger.ts";
import { type Output, printJson, printRows, say } from "./output.ts";

export interface ScheduleCommand extends LedgerCommand {
  readonly name: string;
}

/** All schedules, with what needs a look: orphans and pauses. */
export async function scheduleList({ environment, output }: LedgerCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const schedules = await ledger.schedules.list();
  if (output.format === "json") {
    printJson(output, schedules);
    return exitCodes.ok;
  }
  const columns = ["name", "when", "zone", "job", "state", "next", "last", "fired", "missed", "overlapped"] as const;
  printRows(
    output,
    columns,
    schedules.map((schedule) => ({
      name: schedule.name,
      when: schedule.when,
      zone: schedule.timeZone,
      job: schedule.job.name,
      state: stateOf(schedule),
      next: schedule.state === "active" ? instant(schedule.nextAt) : "",
      last: instant(schedule.lastAt),
      fired: schedule.fired,
      missed: schedule.missed,
      overlapped: schedule.overlapped,
    })),
  );
  return exitCodes.ok;
}

/** All that the ledger knows of one schedule; `notFound` if it knows none. */
export async function scheduleShow({ environment, output, name }: ScheduleCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const schedule = await ledger.schedules.get(name);
  if (schedule === undefined) {
    if (output.format === "json") printJson(output, null);
    else say(output, `no schedule ${name}`);
    return exitCodes.notFound;
  }
  if (output.format === "json") printJson(output, schedule);
  else {
    const { job, ...rest } = schedule;
    const fields = { ...rest, ...Object.fromEntries(Object.entries(job).map(([key, value]) => [`job ${key}`, value])) };
    printRows(
      output,
      ["field", "value"],
      Object.entries(fields).flatMap(([field, value]) => (value === undefined ? [] : [{ field, value: text(value) }])),
    );
  }
  return exitCodes.ok;
}

export async function schedulePause({ environment, output, name, by }: ScheduleCommand & { readonly by: string }) {
  await using ledger = await connectLedger(environment);
  return told(
    output,
    await ledger.schedules.pause(name, by),
    `schedule ${name} is paused; what falls into the pause is left out`,
  );
}

export async function scheduleResume({ environment, output, name }: ScheduleCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const schedule = await ledger.schedules.resume(name);
  const next = schedule.nextAt === undefined ? "nothing is next" : `next at ${schedule.nextAt.toISOString()}`;
  return told(output, schedule, `schedule ${name} goes on: ${next}`);
}

export async function scheduleTrigger({ environment, output, name }: ScheduleCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const { id } = await ledger.schedules.trigger(name);
  if (output.format === "json") printJson(output, { id });
  else say(output, `job ${id} is made; the dispatcher sends it`);
  return exitCodes.ok;
}

export async function scheduleDelete({ environment, output, name }: ScheduleCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const deleted = await ledger.schedules.delete(name);
  if (output.format === "json") printJson(output, { deleted });
  else say(output, deleted ? `schedule ${name} is deleted; its unfinished jobs stay` : `no schedule ${name}`);
  return deleted ? exitCodes.ok : exitCodes.notFound;
}

export interface PreviewCommand extends ScheduleCommand {
  readonly count: number;
  /** `name` is a rhythm and no schedule. */
  readonly zone: string | undefined;
}

/** When a schedule fires next; with a zone, when a rhythm would. Instants in UTC. */
export async function schedulePreview({ environment, output, name, count, zone }: PreviewCommand): Promise<ExitCode> {
  const isRhythm = zone !== undefined || !/^[\w.-]+$/.test(name);
  const instants = isRhythm
    ? previewFirings({ when: name, timeZone: zone ?? "UTC", after: new Date(), count })
    : await stored();
  if (output.format === "json") printJson(output, instants);
  else for (const at of instants) output.write(`${at.toISOString()}\n`);
  return exitCodes.ok;

  async function stored(): Promise<readonly Date[]> {
    await using ledger = await connectLedger(environment);
    return await ledger.schedules.preview(name, count);
  }
}

function told(output: Output, schedule: Schedule, sentence: string): ExitCode {
  if (output.format === "json") printJson(output, schedule);
  else say(output, sentence);
  return exitCodes.ok;
}

const stateOf = ({ state, orphanedAt }: Schedule): string => (orphanedAt === undefined ? state : `${state}, orphan`);
const instant = (at: Date | undefined): string => at?.toISOString() ?? "";

function text(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  return typeof value === "string" ? value : JSON.stringify(value);
}
