import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Exit, spawnTied, type TiedProcess } from "@warren/testing";
import { Refusal } from "./refusal.ts";
import { ServiceLog } from "./service-log.ts";
import type { ServicePlan } from "./services.ts";
import { repository } from "./settings.ts";

type ServiceState =
  | { readonly kind: "starting" }
  | { readonly kind: "ready" }
  | { readonly kind: "waiting"; readonly retryInMs: number }
  | { readonly kind: "stopped" };

export interface SuperviseOptions {
  readonly logsFolder: string;
  readonly say: (line: string) => void;
  /** Shows the service's log lines too. */
  readonly verbose: boolean;
  /** Time to drain after SIGTERM before it is killed. */
  readonly shutdownMs: number;
  /** Default 60 s. */
  readonly startTimeoutMs?: number;
}

/** A service process that is kept alive. */
export interface Supervised {
  readonly plan: ServicePlan;
  state(): ServiceState;
  pid(): number | undefined;
  /** SIGTERM, and after the deadline SIGKILL. Answers whether it drained in time. Idempotent. */
  stop(): Promise<boolean>;
  /** SIGKILL at once. */
  kill(): void;
}

/** How long to wait before start number `failures` + 1. Pure. */
export function restartDelayMs(failures: number): number {
  return Math.min(30_000, 500 * 2 ** failures);
}

const stableAfterMs = 60_000;

/**
 * Starts a service and waits until it is ready; afterwards starts it again, with growing delays, whenever it ends unasked.
 * Throws a Refusal with the service's own last words when it does not get ready the first time.
 */
export async function supervise(plan: ServicePlan, options: SuperviseOptions): Promise<Supervised> {
  const { say } = options;
  const logFile = join(options.logsFolder, `${plan.name}.log`);
  const log = new ServiceLog(logFile, options.verbose ? (line) => say(`${plan.name.padEnd(13)} ${line}`) : undefined);
  const stopping = new AbortController();
  let state: ServiceState = { kind: "starting" };
  let child = await launch();

  function launch(): Promise<TiedProcess> {
    const { PATH, HOME } = process.env;
    return spawnTied({
      command: process.execPath,
      args: [join(repository, plan.entry)],
      env: { ...(PATH === undefined ? {} : { PATH }), ...(HOME === undefined ? {} : { HOME }), ...plan.env },
      cwd: repository,
      output: { onLine: (line) => log.write(line) },
    });
  }

  async function live(): Promise<void> {
    for (let failures = 0; ; ) {
      const startedAt = performance.now();
      const exit = await child.exited;
      if (stopping.signal.aborted) return;
      failures = performance.now() - startedAt > stableAfterMs ? 0 : failures + 1;
      const retryInMs = restartDelayMs(failures);
      state = { kind: "waiting", retryInMs };
      say(
        `${plan.name} ended (${howItEnded(exit)}) and is started again in ${retryInMs / 1000} s; its log: ${logFile}`,
      );
      try {
        await sleep(retryInMs, undefined, { signal: stopping.signal });
      } catch {
        return; // stopped while waiting
      }
      state = { kind: "starting" };
      child = await launch();
      void announceReady(child);
    }
  }

  async function announceReady(started: TiedProcess): Promise<void> {
    if (!(await becomesReady(started, Number.POSITIVE_INFINITY))) return;
    state = { kind: "ready" };
    say(`${plan.name} is ready again`);
  }

  async function becomesReady(started: TiedProcess, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (started.running() && !stopping.signal.aborted && performance.now() < deadline) {
      const ok = await fetch(plan.readyUrl, { signal: AbortSignal.timeout(2000) }).then(
        (answer) => answer.ok,
        () => false,
      );
      if (ok && started.running()) return true;
      await sleep(50);
    }
    return false;
  }

  async function stop(): Promise<boolean> {
    stopping.abort();
    let drained = true;
    if (child.running()) {
      child.signal("SIGTERM");
      drained = await Promise.race([
        child.exited.then(() => true),
        sleep(options.shutdownMs + 3000, false, { ref: false }),
      ]);
      if (!drained) {
        child.signal("SIGKILL");
        await child.exited;
      }
    }
    if (state.kind !== "stopped") await log.close();
    state = { kind: "stopped" };
    return drained;
  }

  const timeoutMs = options.startTimeoutMs ?? 60_000;
  if (!(await becomesReady(child, timeoutMs))) {
    const exit = child.running() ? undefined : await child.exited;
    await stop();
    const how =
      exit === undefined ? `was not ready within ${timeoutMs / 1000} s` : `ended while starting (${howItEnded(exit)})`;
    throw new Refusal(`${plan.name} ${how}; it says (${logFile}):\n${log.lastWords()}`);
  }
  state = { kind: "ready" };
  void live();
  return {
    plan,
    state: () => state,
    pid: () => (child.running() ? child.pid : undefined),
    stop,
    kill: () => {
      stopping.abort();
      child.signal("SIGKILL");
    },
  };
}

function howItEnded({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code ?? "unknown"}` : `killed by ${signal}`;
}
