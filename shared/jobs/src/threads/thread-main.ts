import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { assertNote, assertProgress } from "../control/said.ts";
import { JobAbortedError, Snoozed } from "../errors.ts";
import {
  type FromThread,
  type LogLevel,
  logLevels,
  receiveError,
  sendError,
  type ThreadAnswer,
  type ThreadMethod,
  type ThreadTask,
  type ToThread,
} from "./protocol.ts";
import type { ThreadJob, ThreadLog } from "./thread-job.ts";

/** What piscina calls in the thread. Never rejects: a rejection means that the thread has died. */
export async function run(task: ThreadTask): Promise<ThreadAnswer> {
  const handler = await load(task);
  if (typeof handler === "string") return { kind: "unusable", why: handler };
  if (task.kind === "check") return { kind: "usable" };
  // sound: piscina transferred it
  const port = task.port as MessagePort;
  const connection = connect(port, task);
  try {
    return returned(await handler(connection.job));
  } catch (error) {
    if (error instanceof Snoozed) return { kind: "snoozed", delayMs: error.delayMs };
    const { signal } = connection.job;
    if (signal.aborted && error === signal.reason) return { kind: "aborted" };
    return { kind: "threw", error: sendError(error) };
  } finally {
    connection.end();
  }
}

type Loaded = (job: ThreadJob<unknown>) => unknown;

/** The handler, or why there is none. */
async function load({ file, exportName }: ThreadTask): Promise<Loaded | string> {
  try {
    const module = (await import(file)) as Readonly<Record<string, unknown>>;
    const handler = module[exportName];
    if (typeof handler === "function") return handler as Loaded;
    return `${file} exports no function named "${exportName}"; it exports: ${Object.keys(module).join(", ")}`;
  } catch (error) {
    return `${file} could not be loaded: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function returned(result: unknown): ThreadAnswer {
  try {
    const json = result === undefined ? undefined : JSON.stringify(result);
    if (json === undefined && result !== undefined) return { kind: "unserialisable", why: `a ${typeof result}` };
    return { kind: "returned", json };
  } catch (error) {
    return { kind: "unserialisable", why: error instanceof Error ? error.message : String(error) };
  }
}

/** The job's line to the worker: calls and logs go out, aborts and answers come in. */
function connect(port: MessagePort, { job: facts }: Extract<ThreadTask, { kind: "run" }>) {
  const controller = new AbortController();
  const calls = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let lastCall = 0;

  function received(message: ToThread): void {
    switch (message.kind) {
      case "abort":
        controller.abort(new JobAbortedError(message.code, message.message, message.details));
        return;
      case "answer":
        calls.get(message.call)?.resolve(message.value);
        calls.delete(message.call);
        return;
      case "failure":
        calls.get(message.call)?.reject(receiveError(message.error));
        calls.delete(message.call);
        return;
      default:
        message satisfies never;
    }
  }

  const send = (message: FromThread): void => port.postMessage(message);
  port.on("message", received);

  /** The worker's answer has the type that the same call has there. */
  function ask<Answer>(
    method: ThreadMethod,
    { name, version }: { readonly name: string; readonly version: number },
    ...given: readonly unknown[]
  ): Promise<Answer> {
    lastCall += 1;
    const call = lastCall;
    return new Promise((resolve, reject) => {
      calls.set(call, { resolve: resolve as (value: unknown) => void, reject });
      send({ kind: "call", call, method, definition: { name, version }, given });
    });
  }

  const job: ThreadJob<unknown> = {
    ...facts,
    signal: controller.signal,
    throwIfAborted() {
      for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
        received(next.message as ToThread);
      controller.signal.throwIfAborted();
    },
    log: createLog(send),
    progress(value) {
      assertProgress(facts.name, value);
      send({ kind: "progress", json: JSON.stringify(value) });
    },
    note(text) {
      assertNote(facts.name, text);
      send({ kind: "note", text });
    },
    enqueue: (definition, payload, options) => ask("enqueue", definition, payload, options),
    flow: {
      resultOf: (node, definition) => ask("resultOf", definition, node),
      outcomeOf: (node, definition) => ask("outcomeOf", definition, node),
      parents: (definition) => ask("parents", definition),
    },
  };
  return {
    job,
    end() {
      send({ kind: "end" });
      port.off("message", received);
      port.unref();
    },
  };
}

function createLog(send: (message: FromThread) => void): ThreadLog {
  const at =
    (level: LogLevel) =>
    (first: object | string, message?: string): void => {
      const fields = typeof first === "string" ? {} : first;
      const text = typeof first === "string" ? first : message;
      try {
        send({ kind: "log", level, fields: loggable(fields), message: text });
      } catch {
        send({ kind: "log", level, fields: { unprintable: true }, message: text });
      }
    };
  // sound: all levels are there
  return Object.fromEntries(logLevels.map((level) => [level, at(level)])) as unknown as ThreadLog;
}

/** Errors keep their code and stack across the port. */
function loggable(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? sendError(value) : value]),
  );
}
