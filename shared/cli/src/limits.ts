import { nearest, WarrenError } from "@warren/contracts";
import { createLimits, type QueueControl } from "@warren/jobs";
import type { QueueLimits } from "@warren/ledger";
import type { Environment } from "@warren/service";
import { connectLedger } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { type Output, printJson, printRows, say } from "./output.ts";

interface LimitsCommand {
  readonly environment: Environment;
  readonly output: Output;
}

/** What the command line says; `none` removes a limit. */
export interface LimitFlags {
  readonly key?: string;
  readonly concurrency?: string;
  readonly rate?: string;
  readonly burst?: string;
  readonly keyConcurrency?: string;
  readonly keyRate?: string;
  readonly order?: string;
  readonly fairness?: string;
  readonly priority?: string;
}

export interface PauseFlags {
  readonly job?: string;
  readonly key?: string;
}

/** Limits may be set before a queue is used, so a name that nobody uses is noted, and no error. */
async function within<T>(environment: Environment, queue: string, work: (limits: QueueControl) => Promise<T>) {
  await using ledger = await connectLedger(environment);
  const limits = createLimits({ ledger });
  const known = [...(await ledger.queues()), ...(await limits.list()).map((one) => one.queue)];
  const result = await work(limits);
  if (known.includes(queue)) return { result };
  const near = nearest(queue, known);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return { result, note: `note: no worker serves ${queue}, and no job is ready in it${hint}` };
}

/** Shows all queues that are limited or paused. */
export async function limitsList({ environment, output }: LimitsCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  show(output, await createLimits({ ledger }).list());
  return exitCodes.ok;
}

/** Changes the limits that are named, of a queue or of one key of it. */
export async function limitsSet(command: LimitsCommand & { queue: string; flags: LimitFlags }): Promise<ExitCode> {
  const { environment, output, queue, flags } = command;
  const { key } = flags;
  const { concurrency, rate } = { concurrency: number(flags.concurrency), rate: rateOf(flags) };
  const own = { ...given("concurrency", concurrency), ...given("rate", rate) };
  const all = {
    ...own,
    ...given("keyConcurrency", number(flags.keyConcurrency)),
    ...given("keyRate", word(flags.keyRate)),
    ...given("order", word(flags.order)),
    ...given("fairness", yes(flags.fairness)),
    ...given("priority", yes(flags.priority)),
  };
  if (Object.keys(all).length === 0) throw new WarrenError("JOB_OPTION_INVALID", "limits set: name a limit to change");
  const { result, note } = await within(environment, queue, (limits) =>
    key === undefined ? limits.set(queue, all as Parameters<QueueControl["set"]>[1]) : limits.setKey(queue, key, own),
  );
  show(output, [result]);
  if (note !== undefined) say(output, note);
  return exitCodes.ok;
}

export async function limitsClear({
  environment,
  output,
  queue,
}: LimitsCommand & { queue: string }): Promise<ExitCode> {
  const { note } = await within(environment, queue, (limits) => limits.clear(queue));
  if (output.format === "json") printJson(output, { queue, cleared: true });
  else say(output, `${queue}: no limits any more; what is paused stays paused`);
  if (note !== undefined) say(output, note);
  return exitCodes.ok;
}

/** Stops a queue, a job name in it or a key in it, or lets it go on. */
export async function limitsPause(
  command: LimitsCommand & { queue: string; flags: PauseFlags; paused: boolean },
): Promise<ExitCode> {
  const { environment, output, queue, flags, paused } = command;
  const { note } = await within(environment, queue, (limits) =>
    paused ? limits.pause(queue, flags) : limits.resume(queue, flags),
  );
  const what = [
    queue,
    flags.job === undefined ? [] : `job ${flags.job}`,
    flags.key === undefined ? [] : `key ${flags.key}`,
  ];
  if (output.format === "json") printJson(output, { queue, ...flags, paused });
  else say(output, `${what.flat().join(", ")}: ${paused ? "paused; what runs, runs on" : "goes on"}`);
  if (note !== undefined) say(output, note);
  return exitCodes.ok;
}

function given<T>(name: string, value: T | undefined): Record<string, T> {
  return value === undefined ? {} : { [name]: value };
}

const word = (text: string | undefined): string | null | undefined => (text === "none" ? null : text);
const number = (text: string | undefined): number | null | undefined =>
  text === undefined ? undefined : text === "none" ? null : Number(text);
const yes = (text: string | undefined): boolean | null | undefined =>
  text === undefined ? undefined : text === "none" ? null : text === "on";

/** A burst other than the rate's own makes it a rate in parts. */
function rateOf({ rate, burst }: LimitFlags): unknown {
  const parts = /^(\d+)\/(\d*)(ms|s|m|h|d)$/.exec(rate ?? "");
  if (burst === undefined || parts === null) return word(rate);
  const unitMs = units[parts[3] as keyof typeof units];
  return { limit: Number(parts[1]), perMs: Number(parts[2] === "" ? 1 : parts[2]) * unitMs, burst: Number(burst) };
}

function show(output: Output, all: readonly QueueLimits[]): void {
  if (output.format === "json") {
    printJson(output, all);
    return;
  }
  if (all.length === 0) say(output, "no queue is limited or paused");
  else printRows(output, ["queue", "limits", "paused", "keys"], all.map(row));
}

function row({ queue, policy, paused, pausedJobs, keys }: QueueLimits) {
  const stopped = [...(paused ? ["queue"] : []), ...pausedJobs.map((job) => `job ${job}`)];
  return {
    queue,
    limits: Object.entries(policy).map(limitText).join(", "),
    paused: stopped.join(", "),
    keys: keys
      .map(({ key, paused: isPaused, ...own }) =>
        [key, ...Object.entries(own).map(limitText), ...(isPaused ? ["paused"] : [])].join(" "),
      )
      .join("; "),
  };
}

function limitText([name, value]: [string, unknown]): string {
  if (value === true) return name;
  if (typeof value !== "object" || value === null) return `${name} ${String(value)}`;
  const { limit, perMs, burst } = value as { limit: number; perMs: number; burst: number };
  return `${name} ${limit}/${spanText(perMs)}${burst === limit ? "" : ` burst ${burst}`}`;
}

const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** As `limits set` takes it: `m`, `10s`, `250ms`. */
function spanText(perMs: number): string {
  const [unit, unitMs] = Object.entries(units).find(([, size]) => perMs % size === 0) ?? ["ms", 1];
  return `${perMs === unitMs ? "" : perMs / unitMs}${unit}`;
}
