import { AsyncLocalStorage } from "node:async_hooks";
import { MessageChannel } from "node:worker_threads";
import type { JobDefinition } from "../define.ts";
import type { EnqueueOptions } from "../enqueue/draft.ts";
import { JobOptionError } from "../errors.ts";
import type { Attempt } from "../job.ts";
import { type FromThread, sendError, type ThreadMethod, type ToThread } from "./protocol.ts";

type Call = Extract<FromThread, { readonly kind: "call" }>;

/** The worker's end of the line to a job in its thread: `remote` is the thread's, and `ended` resolves when that has said all. */
export function openLine(attempt: Attempt, definitions: readonly JobDefinition[]) {
  const { port1: local, port2: remote } = new MessageChannel();
  // what comes from the thread belongs to the job's context: correlation id and trace
  const inContext = AsyncLocalStorage.snapshot();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port has no origin
  const send = (message: ToThread): void => local.postMessage(message);

  async function answer({ call, method, definition, given }: Call): Promise<void> {
    try {
      const known = definitions.find(({ name, version }) => name === definition.name && version === definition.version);
      if (known === undefined) {
        const what = `${definition.name} version ${definition.version}`;
        throw new JobOptionError(
          "JOB_OPTION_INVALID",
          `a handler in a thread named ${what}: add it to "definitions" of handleInThread`,
          { details: { path: "definitions" } },
        );
      }
      send({ kind: "answer", call, value: await ask(attempt, method, known, given) });
    } catch (error) {
      send({ kind: "failure", call, error: sendError(error) });
    }
  }

  function received(message: FromThread): void {
    switch (message.kind) {
      case "log":
        attempt.log[message.level](message.fields, message.message);
        return;
      case "call":
        void answer(message);
        return;
      case "progress":
        attempt.progress(JSON.parse(message.json));
        return;
      case "note":
        attempt.note(message.text);
        return;
      case "end":
        end();
        return;
      default:
        message satisfies never;
    }
  }

  function abort(): void {
    const { aborted } = attempt;
    if (aborted !== undefined)
      send({ kind: "abort", code: aborted.code, message: aborted.message, details: aborted.details });
  }

  local.on("message", (message: FromThread) => inContext(() => received(message)));
  const { signal } = attempt;
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  return {
    remote,
    ended,
    close() {
      signal.removeEventListener("abort", abort);
      local.close();
    },
  };
}

function ask(
  attempt: Attempt,
  method: ThreadMethod,
  definition: JobDefinition,
  given: Call["given"],
): Promise<unknown> {
  const [first, second] = given;
  switch (method) {
    case "enqueue":
      // sound: the client parses both like any other
      return attempt.enqueue(definition, first, second as EnqueueOptions | undefined);
    case "resultOf":
      return attempt.flow.resultOf(String(first), definition);
    case "outcomeOf":
      return attempt.flow.outcomeOf(String(first), definition);
    case "parents":
      return attempt.flow.parents(definition);
    default:
      return method satisfies never;
  }
}
