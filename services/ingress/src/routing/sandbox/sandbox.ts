import { Worker } from "node:worker_threads";
import type { Logger } from "@warren/observability";
import { failure } from "../routed.ts";
import type { FromSandbox, SandboxAnswer, SandboxTask } from "./protocol.ts";

export interface SandboxOptions {
  readonly log: Logger;
  /** How many transforms may wait. Default 200. */
  readonly maxWaiting?: number;
  /** How long one may wait for its turn, in milliseconds. Default 2,000: senders wait for the answer. */
  readonly maxWaitMs?: number;
}

/** Runs transforms, one after the other, in a thread that is started at the first. A thread that breaks or hangs is replaced. */
export interface Sandbox extends AsyncDisposable {
  /** Starts the thread, so that the first event does not wait for it. Never rejects. */
  warm(): Promise<void>;
  /** Never rejects, and answers within `timeoutMs`, the wait for its turn and a grace of two seconds. */
  run(task: SandboxTask): Promise<SandboxAnswer>;
}

interface Waiting {
  readonly task: SandboxTask;
  readonly since: number;
  readonly answer: (answer: SandboxAnswer) => void;
}

/** For what the engine does not check its clock in, and for a machine that is busy or stood still. */
const graceMs = 2_000;
const startMs = 5_000;
const file = new URL("./thread.ts", import.meta.url);

export function createSandbox({ log, maxWaiting = 200, maxWaitMs = 2_000 }: SandboxOptions): Sandbox {
  const waiting: Waiting[] = [];
  let thread: Worker | undefined;
  let starting: Promise<Worker | undefined> | undefined;
  let isBusy = false;
  let isClosed = false;

  function start(): Promise<Worker | undefined> {
    const worker = new Worker(file, {
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 128 },
      stdout: true,
      stderr: true,
    });
    worker.unref();
    // what the engine says of its own end; its answer says so too
    worker.stdout.resume();
    worker.stderr.resume();
    // without a listener it would end the process
    worker.on("error", (error) => log.warn({ err: error }, "the sandbox's thread died"));
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        void worker.terminate();
        resolve(undefined);
      }, startMs);
      const settle = (started: Worker | undefined) => () => {
        clearTimeout(timer);
        resolve(started);
      };
      worker.once("message", settle(worker));
      worker.once("exit", settle(undefined));
    });
  }

  async function ready(): Promise<Worker | undefined> {
    if (thread !== undefined) return thread;
    starting ??= start().finally(() => {
      starting = undefined;
    });
    thread = await starting;
    return thread;
  }

  function letGo(): void {
    void thread?.terminate();
    thread = undefined;
  }

  async function perform(task: SandboxTask): Promise<SandboxAnswer> {
    const worker = await ready();
    if (worker === undefined) return failed("ROUTE_TRANSFORM_OVERLOADED", "the sandbox's thread did not start in time");
    return new Promise((resolve) => {
      const end = (answer: SandboxAnswer, isUsable: boolean): void => {
        clearTimeout(timer);
        worker.off("message", onMessage);
        worker.off("exit", onExit);
        if (!isUsable) letGo();
        resolve(answer);
      };
      const onMessage = (message: FromSandbox): void => {
        if (message.kind === "answer") end(message.answer, !message.isBroken);
      };
      const onExit = (): void => end(failed("ROUTE_TRANSFORM_CRASHED", "the sandbox's thread ended"), false);
      const timer = setTimeout(() => {
        end(failed("ROUTE_TRANSFORM_TIMEOUT", "it took longer than its timeoutMs, and its thread was ended"), false);
      }, task.timeoutMs + graceMs);
      worker.on("message", onMessage);
      worker.once("exit", onExit);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage(task);
    });
  }

  async function work(): Promise<void> {
    if (isBusy) return;
    isBusy = true;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const isLate = performance.now() - next.since > maxWaitMs;
      if (isClosed) next.answer(failed("ROUTE_TRANSFORM_CRASHED", "this process ends"));
      else if (isLate) next.answer(failed("ROUTE_TRANSFORM_OVERLOADED", `it waited longer than ${maxWaitMs} ms`));
      else next.answer(await perform(next.task));
    }
    isBusy = false;
  }

  return {
    async warm() {
      if (!isClosed) await ready();
    },
    run: (task) =>
      new Promise((answer) => {
        if (waiting.length >= maxWaiting) {
          answer(failed("ROUTE_TRANSFORM_OVERLOADED", `${maxWaiting} others wait already`));
          return;
        }
        waiting.push({ task, since: performance.now(), answer });
        void work();
      }),
    async [Symbol.asyncDispose]() {
      isClosed = true;
      const worker = thread ?? (await starting);
      thread = undefined;
      await worker?.terminate();
    },
  };
}

function failed(code: Parameters<typeof failure>[0], message: string): SandboxAnswer {
  return { kind: "failed", failure: failure(code, message), logs: [], durationMs: 0 };
}
