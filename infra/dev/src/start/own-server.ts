import { setTimeout as sleep } from "node:timers/promises";

/** A server that belongs to this `npm start`: started, watched and stopped by it. */
export interface OwnServer extends AsyncDisposable {
  /** Starts it again after it has ended. */
  start(): Promise<void>;
  /** Settles when it has ended, asked or not. */
  exited(): Promise<void>;
}

/** Starts a server again whenever it ends, until `stopping`. */
export async function keepAlive(
  name: string,
  server: OwnServer,
  stopping: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  for (let failures = 0; ; ) {
    await server.exited();
    if (stopping.aborted) return;
    failures += 1;
    const delayMs = Math.min(30_000, 500 * 2 ** failures);
    say(`${name} has ended and is started again in ${delayMs / 1000} s`);
    try {
      await sleep(delayMs, undefined, { signal: stopping });
      await server.start();
      say(`${name} is back`);
    } catch (error) {
      if (stopping.aborted) return;
      say(`${name} does not start: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
