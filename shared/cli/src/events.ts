import { readFile } from "node:fs/promises";
import { WarrenError } from "@warren/contracts";
import { type ReplayFilter, replayEvents } from "@warren/jobs";
import type { DeadEvent } from "@warren/ledger";
import type { Environment } from "@warren/service";
import { connectLedger, connectSession } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { type Output, printJson, printRows, say } from "./output.ts";

export interface EventsCommand {
  readonly environment: Environment;
  readonly output: Output;
}

export interface DeadEventsOptions {
  readonly subscription?: string;
  readonly type?: string;
  readonly reason?: string;
  readonly all?: boolean;
  readonly limit: number;
}

/** Lists dead events, newest first. */
export async function eventsDead(command: EventsCommand & DeadEventsOptions): Promise<ExitCode> {
  const { environment, output, subscription, type, reason, all, limit } = command;
  await using ledger = await connectLedger(environment);
  const letters = await ledger.events.dead.list({ subscription, type, reason, replayed: all }, { limit });
  if (output.format === "json") {
    printJson(output, letters.map(shown));
    return exitCodes.ok;
  }
  printRows(
    output,
    ["id", "subscription", "event", "type", "reason", "error", "received", "replays"],
    letters.map((letter) => ({
      id: letter.id,
      subscription: letter.subscription,
      event: letter.eventId,
      type: letter.type,
      reason: letter.reason,
      error: text(letter.headers["x-warren-error"]),
      received: letter.receivedAt.toISOString(),
      replays: letter.replays,
    })),
  );
  return exitCodes.ok;
}

export interface EventsReplayOptions {
  readonly subscription: string;
  readonly type?: string;
  readonly reason?: string;
  readonly id?: readonly string[];
  readonly all?: boolean;
  readonly rate?: number;
  readonly limit?: number;
  readonly dryRun?: boolean;
  /** A file with the data to send instead; only with one `id`. */
  readonly data?: string;
}

/** Sends dead events to the subscription that gave up on them; `notFound` if none matched. */
export async function eventsReplay(command: EventsCommand & EventsReplayOptions): Promise<ExitCode> {
  const { environment, output, subscription, type, reason, id, all, rate, limit, dryRun, data } = command;
  const edited = data === undefined ? undefined : await readData(data, id);
  await using ledger = await connectLedger(environment);
  await using session = await connectSession(environment);
  await using publisher = session.publisher();
  const filter: ReplayFilter = {
    ...(type === undefined ? {} : { type }),
    ...(reason === undefined ? {} : { reason }),
    ...(id === undefined ? {} : { ids: id }),
    ...(all === undefined ? {} : { replayed: all }),
  };
  const result = await replayEvents(
    { ledger, publisher },
    {
      subscription,
      filter,
      ...(rate === undefined ? {} : { rate }),
      ...(limit === undefined ? {} : { limit }),
      ...(dryRun === undefined ? {} : { dryRun }),
      ...(edited === undefined ? {} : { edit: () => edited.value }),
    },
  );
  if (output.format === "json") printJson(output, result);
  else if (dryRun === true) say(output, `${result.matched} dead events of ${subscription} would be replayed`);
  else say(output, `${result.replayed} of ${result.matched} dead events replayed to ${subscription}`);
  return result.matched === 0 ? exitCodes.notFound : exitCodes.ok;
}

async function readData(file: string, ids: readonly string[] | undefined): Promise<{ readonly value: unknown }> {
  if (ids?.length !== 1) {
    throw new WarrenError("JOB_OPTION_INVALID", "--data replaces the data of one event: name it with --id, once");
  }
  try {
    return { value: JSON.parse(await readFile(file, "utf8")) as unknown };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new WarrenError("EVENT_DATA_INVALID", `--data ${file}: ${why}`, { cause });
  }
}

function shown(letter: DeadEvent) {
  return { ...letter, body: letter.body.toString("utf8") };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
