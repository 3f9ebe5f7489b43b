import type { Logger } from "@warren/observability";
import type { RunningService } from "./service.ts";

/** After the deadline, how long drain may still take to hand work back, and how long disposal may take. */
const handBackMs = 2_000;
const disposeMs = 5_000;

/** Runs `work` and gives up waiting after `ms`. */
async function atMost(ms: number, work: Promise<unknown>): Promise<"done" | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), ms);
  });
  try {
    return await Promise.race([work.then(() => "done" as const), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs one step of a shutdown; what it throws is logged, and the next step comes. */
async function step(name: string, log: Logger, ms: number, work: () => Promise<unknown>): Promise<boolean> {
  try {
    if ((await atMost(ms, work())) === "done") return true;
    log.error({ step: name, waitedMs: ms }, "shutdown step took too long, going on");
  } catch (error) {
    log.error({ step: name, err: error }, "shutdown step failed, going on");
  }
  return false;
}

/**
 * Stops a service: quiet, drain within the deadline, dispose; then what it stood on. Never throws and never hangs.
 * Answers whether all went in order.
 */
export async function shutDown(options: {
  readonly service: RunningService | undefined;
  readonly rest: AsyncDisposable;
  readonly log: Logger;
  readonly timeoutMs: number;
  /** Ends the time to finish before its end. */
  readonly hurry: AbortSignal;
}): Promise<boolean> {
  const { service, log, timeoutMs, hurry } = options;
  const startedAt = performance.now();
  const results: boolean[] = [];
  if (service !== undefined) {
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new Error(`the shutdown timeout of ${timeoutMs} ms is over`)),
      timeoutMs,
    );
    const hasten = (): void => deadline.abort(new Error("a second signal ended the time to finish"));
    hurry.addEventListener("abort", hasten, { once: true });
    if (hurry.aborted) hasten();
    const wholeMs = timeoutMs + handBackMs;
    results.push(await step("quiet", log, wholeMs, async () => service.quiet?.()));
    const leftMs = Math.max(handBackMs, wholeMs - (performance.now() - startedAt));
    results.push(await step("drain", log, leftMs, async () => service.drain?.(deadline.signal)));
    clearTimeout(timer);
    hurry.removeEventListener("abort", hasten);
    results.push(await step("dispose", log, disposeMs, async () => service[Symbol.asyncDispose]()));
  }
  results.push(await step("close connections", log, disposeMs, async () => options.rest[Symbol.asyncDispose]()));
  return results.every(Boolean);
}
