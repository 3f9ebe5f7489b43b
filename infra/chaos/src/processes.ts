import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceProcess, spawnService } from "@warren/testing";
import type { ProcessExit } from "./audit/attempts.ts";
import { monoMs } from "./notes.ts";

export interface ProcessOptions {
  readonly name: string;
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
  readonly onExit: (exit: ProcessExit) => void;
  /** It ended, and nobody had asked for that. */
  readonly onSurprise: (what: string) => void;
}

/** One place for a process, and a supervisor that starts another when it ends. Calls wait for those before. */
export interface Place extends AsyncDisposable {
  readonly name: string;
  kill(lastsMs: number): Promise<Struck>;
  terminate(lastsMs: number): Promise<Struck>;
  pause(lastsMs: number): Promise<Struck>;
  /** SIGTERM, and nobody starts it again. */
  end(): Promise<void>;
  logs(): readonly string[];
}

/** What was done to whom, and when; the monotonic clock. */
export interface Struck {
  readonly beganMs: number;
  /** The victim is whole again: another process lives, or this one goes on. */
  readonly overMs: number;
  readonly pid?: number;
}

const startTimeoutMs = 90_000;
const againMs = 500;
const endTimeoutMs = 40_000;

export async function openPlace({ name, entry, env, onExit, onSurprise }: ProcessOptions): Promise<Place> {
  const wanted = new Set<number>();
  const earlierLogs: (readonly string[])[] = [];
  let ending = false;
  let current: ServiceProcess | undefined;
  let lane: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = lane.then(work);
    lane = turn.catch(() => undefined);
    return turn;
  }

  async function start(): Promise<ServiceProcess> {
    for (;;) {
      try {
        // it lives before its servers answer: a supervisor does not wait for more
        const started = await spawnService({ entry, env, readyPath: "/livez", startTimeoutMs });
        current = started;
        void watch(started);
        return started;
      } catch (error) {
        onSurprise(`${name} did not start: ${error instanceof Error ? error.message : String(error)}`);
        if (ending) throw error;
        await sleep(againMs);
      }
    }
  }

  async function watch(started: ServiceProcess): Promise<void> {
    const { code, signal } = await started.exited;
    onExit({ pid: started.pid, monoMs: monoMs() });
    earlierLogs.push(started.logs());
    if (wanted.has(started.pid) || ending) return;
    onSurprise(`${name} (${started.pid}) ended by itself: ${signal ?? `exit ${code}`}`);
    await inTurn(async () => {
      await sleep(againMs);
      if (!ending) await start();
    });
  }

  /** The process that runs now; after a surprise, its successor. */
  const running = async (): Promise<ServiceProcess> => (current?.running() === true ? current : start());

  const replace = (lastsMs: number, stop: (victim: ServiceProcess) => Promise<unknown>): Promise<Struck> =>
    inTurn(async () => {
      const victim = await running();
      wanted.add(victim.pid);
      const beganMs = monoMs();
      await stop(victim);
      await sleep(lastsMs);
      await start();
      return { beganMs, overMs: monoMs(), pid: victim.pid };
    });

  await inTurn(start);
  return {
    name,
    kill: (lastsMs) => replace(lastsMs, (victim) => victim.kill()),
    terminate: (lastsMs) =>
      replace(lastsMs, (victim) =>
        victim.terminate(endTimeoutMs).catch((error: unknown) => onSurprise(`${name}: ${String(error)}`)),
      ),
    pause: (lastsMs) =>
      inTurn(async () => {
        const victim = await running();
        const beganMs = monoMs();
        victim.pause();
        await sleep(lastsMs);
        victim.resume();
        return { beganMs, overMs: monoMs(), pid: victim.pid };
      }),
    end: () =>
      inTurn(async () => {
        ending = true;
        if (current?.running() !== true) return;
        await current.terminate(endTimeoutMs).catch((error: unknown) => onSurprise(`${name}: ${String(error)}`));
      }),
    logs: () => [...earlierLogs.flat(), ...(current?.running() === true ? current.logs() : [])],
    async [Symbol.asyncDispose]() {
      ending = true;
      await current?.kill();
      await lane;
      await current?.kill();
    },
  };
}
