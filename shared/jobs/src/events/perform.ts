import { runWithContext, type Tracing } from "@warren/observability";
import type { Deadlines } from "../attempts/deadlines.ts";
import { JobAbortedError, Snoozed } from "../errors.ts";
import type { ReceivedEvent } from "./event.ts";
import type { EventOutcome } from "./verdict.ts";

/** A handler under way. */
export interface Performance {
  readonly event: ReceivedEvent;
  /** Ends it with this outcome although its handler still runs; nothing if the handler has ended. */
  readonly giveUp: (outcome: EventOutcome) => void;
  /** Never rejects. */
  readonly outcome: Promise<EventOutcome>;
}

export interface PerformOptions {
  readonly event: ReceivedEvent;
  readonly handler: (event: ReceivedEvent) => unknown;
  readonly timeoutMs: number;
  readonly hardTimeoutMs: number;
  readonly deadlines: Deadlines;
  readonly tracing: Tracing | undefined;
}

/**
 * Runs a handler under its two limits: after `timeoutMs` its signal aborts, after `hardTimeoutMs` it has failed whether it returns or not. What
 * it then still does is not undone, except with an inbox: its `complete` may come too late.
 */
export function perform(options: PerformOptions): Performance {
  const { event, timeoutMs, hardTimeoutMs, deadlines } = options;
  const { promise, resolve } = Promise.withResolvers<EventOutcome>();
  let ended = false;

  let deadline = deadlines.add(timeoutMs, () => {
    const late = new JobAbortedError("EVENT_TIMEOUT", `the handler ran longer than ${timeoutMs} ms`, { timeoutMs });
    event.abort(late);
    deadline = deadlines.add(hardTimeoutMs - timeoutMs, () => end({ kind: "threw", error: late }));
  });

  function end(outcome: EventOutcome): void {
    if (ended) return;
    ended = true;
    deadline.cancel();
    resolve(outcome);
  }

  call(options).then(
    () => end({ kind: "handled" }),
    (error: unknown) => end(readThrown(error, event.aborted)),
  );
  return { event, giveUp: end, outcome: promise };
}

function call({ event, handler, tracing }: PerformOptions): Promise<unknown> {
  const { traceparent } = event.attributes;
  return runWithContext({ correlationId: event.correlationId, traceparent }, async () => {
    if (tracing === undefined || !tracing.enabled) return handler(event);
    const attributes = {
      "messaging.system": "rabbitmq",
      "messaging.operation.type": "process",
      "messaging.destination.name": event.subscription,
      "messaging.message.id": event.id,
      "cloudevents.event_type": event.type,
      "warren.event.attempt": event.attempt,
    };
    // linked to its creator, not its child: it may be handled much later, several times, and by many
    return tracing.span(`process ${event.type}`, { kind: "consumer", links: [traceparent], attributes }, () =>
      handler(event),
    );
  });
}

/** What a throw means once the signal had aborted. */
function readThrown(error: unknown, aborted: JobAbortedError | undefined): EventOutcome {
  if (aborted === undefined || error instanceof Snoozed) return { kind: "threw", error };
  if (aborted.code === "SUBSCRIBER_STOPPING") return { kind: "stopping" };
  // fetch, timers and streams throw an AbortError of their own instead of the signal's reason
  const isEcho = error === aborted || (error instanceof Error && error.name === "AbortError");
  return { kind: "threw", error: isEcho ? aborted : error };
}
