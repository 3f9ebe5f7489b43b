import type { JobCounts, Ledger } from "@warren/ledger";
import type { Command } from "commander";
import { connectLedger } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import type { LedgerCommand } from "./ledger.ts";
import { printJson, printRows, say } from "./output.ts";

/** Adds `queue` and `worker`: how the system does. */
export function addQueueCommands(
  program: Command,
  context: () => LedgerCommand,
  finish: (code: ExitCode) => void,
): void {
  program
    .command("queue")
    .description("queues: what waits, runs and died in each, and who works on it")
    .command("list", { isDefault: true })
    .description("all queues; exit code 3 if jobs are ready that no worker takes (default)")
    .action(async () => finish(await queueList(context())));
  program
    .command("worker")
    .description("workers: where they run, and what they do")
    .command("list", { isDefault: true })
    .description("all living workers, the oldest first (default)")
    .action(async () => finish(await workerList(context())));
}

async function queueList({ environment, output }: LedgerCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const { isExact, isFailedCapped, queues } = await look(ledger);
  const code = queues.some(({ state }) => state === "no worker") ? exitCodes.unhealthy : exitCodes.ok;
  if (output.format === "json") {
    printJson(output, { isExact, isFailedCapped, queues });
    return code;
  }
  const columns = ["queue", "state", "ready", "oldest", "running", "later", "dead", "workers", "places"];
  const rows = queues.map(({ oldestMs, ...row }) => ({ ...row, oldest: oldestMs === null ? "" : age(oldestMs) }));
  if (rows.length === 0) say(output, "no worker, and no job that waits, runs or died");
  else printRows(output, columns, rows);
  if (!isExact) say(output, "there are too many jobs to count: ready, running and later are estimates");
  if (isFailedCapped) say(output, "there are more dead jobs than were counted");
  return code;
}

async function workerList({ environment, output }: LedgerCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const workers = await ledger.livingWorkers();
  if (output.format === "json") printJson(output, workers);
  else if (workers.length === 0) say(output, "no worker runs");
  else {
    const rows = workers.map(({ queues, running, concurrency, startedAt, silentMs, ...who }) => ({
      ...who,
      queues: queues.join(", "),
      running: `${running} of ${concurrency}`,
      started: startedAt.toISOString(),
      beat: `${age(silentMs)} ago`,
    }));
    printRows(output, ["id", "host", "pid", "version", "queues", "running", "started", "beat"], rows);
  }
  return exitCodes.ok;
}

interface QueueRow {
  readonly queue: string;
  /** `no worker`: jobs are ready, and nobody takes them. */
  readonly state: "ok" | "paused" | "no worker";
  readonly ready: number;
  /** For how long the oldest ready job has been due. */
  readonly oldestMs: number | null;
  readonly running: number;
  /** Blocked, scheduled or between two attempts. */
  readonly later: number;
  readonly dead: number;
  readonly workers: number;
  /** Jobs that these workers can run at once, all their queues together. */
  readonly places: number;
}

async function look(ledger: Ledger): Promise<Omit<JobCounts, "counts"> & { readonly queues: readonly QueueRow[] }> {
  const { counts, ...how } = await ledger.control.counts();
  const direct = await ledger.oldestReady();
  const governed = await ledger.limits.lines(1);
  const policies = await ledger.limits.list();
  const workers = await ledger.livingWorkers();
  const names = [counts, direct, policies].flatMap((all) => all.map(({ queue }) => queue));
  const known = new Set([...names, ...workers.flatMap(({ queues }) => queues)]);
  const queues = [...known].sort().map((queue): QueueRow => {
    const here = <Some extends { readonly queue: string }>(all: readonly Some[]) =>
      all.filter((one) => one.queue === queue);
    const sum = (...states: readonly string[]) =>
      here(counts).reduce((total, { state, jobs }) => total + (states.includes(state) ? jobs : 0), 0);
    const serving = workers.filter((worker) => worker.queues.includes(queue));
    const ages = [...here(direct).map(({ ageMs }) => ageMs), ...here(governed).map(({ oldestMs }) => oldestMs)];
    const ready = sum("ready");
    const isPaused = here(policies).some(({ paused }) => paused);
    return {
      queue,
      state: isPaused ? "paused" : ready > 0 && serving.length === 0 ? "no worker" : "ok",
      ready,
      oldestMs: ready === 0 ? null : Math.max(0, ...ages.map((ageMs) => ageMs ?? 0)),
      running: sum("running"),
      later: sum("blocked", "scheduled", "retrying"),
      dead: sum("dead"),
      workers: serving.length,
      places: serving.reduce((total, { concurrency }) => total + concurrency, 0),
    };
  });
  return { ...how, queues };
}

const units = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
] as const;

/** To the nearest unit that is past twice: `90 s`, `14 min`. */
function age(ms: number): string {
  const seconds = ms / 1_000;
  const [unit, size] = units.find(([, length]) => seconds >= 2 * length) ?? (["s", 1] as const);
  return `${Math.floor(seconds / size)} ${unit}`;
}
