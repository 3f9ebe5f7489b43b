import { setTimeout as sleep } from "node:timers/promises";
import { WarrenError } from "@warren/contracts";
import type { InboxEntry, Ledger, RunSql } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { JobError } from "../errors.ts";
import type { ReceivedEvent } from "./event.ts";
import type { EventOutcome } from "./verdict.ts";

/** Makes a subscription handle each event once: looks before the handler runs, and notes what it did. */
export interface Inboxed {
  /** `run` and what the inbox makes of it. Never rejects if `run` does not. */
  once(event: ReceivedEvent, run: () => Promise<EventOutcome>): Promise<EventOutcome>;
  /** What `event.complete(tx)` does. */
  complete(event: ReceivedEvent, tx: RunSql): Promise<void>;
}

export interface InboxedOptions {
  readonly ledger: Pick<Ledger, "events">;
  readonly subscription: string;
  readonly log: Logger;
  readonly random: () => number;
  /** Aborts when the subscriber is let go. */
  readonly signal: AbortSignal;
}

const firstPauseMs = 50;
const longestPauseMs = 2_000;

export function createInboxed({ ledger, subscription, log, random, signal }: InboxedOptions): Inboxed {
  const { inbox } = ledger.events;
  const entryOf = (event: ReceivedEvent): InboxEntry => ({ subscription, eventId: event.id });

  /** An outage of Postgres is no fault of the event: it costs time, not an attempt. `undefined`: let go meanwhile. */
  async function persistently<T>(ask: () => Promise<T>): Promise<T | undefined> {
    for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof WarrenError && error.retryable)) throw error;
        log.warn({ subscription, err: error }, "the inbox does not answer; asking again");
      }
      await sleep(pauseMs * (0.5 + random()), undefined, { signal }).catch(() => undefined);
    }
    return undefined;
  }

  async function look(event: ReceivedEvent, run: () => Promise<EventOutcome>): Promise<EventOutcome> {
    const before = await persistently(() => inbox.isHandled(entryOf(event)));
    if (before === undefined) return { kind: "stopping" };
    if (before) return { kind: "duplicate" };
    const outcome = await run();
    // the handler's word for its commit is not enough: a rollback that it swallowed would lose the event
    if (outcome.kind === "handled" && event.completed) {
      const committed = await persistently(() => inbox.isHandled(entryOf(event)));
      if (committed !== false) return committed === undefined ? { kind: "stopping" } : outcome;
      const error = new JobError(
        "EVENT_COMPLETION_ROLLED_BACK",
        "the transaction that completed the event was rolled back, or had not committed when the handler returned",
      );
      return { kind: "threw", error };
    }
    if (outcome.kind !== "handled") return outcome;
    // without a transaction of its own: a crash right here would run it a second time
    const recorded = await persistently(async () => {
      await inbox.record(entryOf(event));
      return true;
    });
    return recorded === undefined ? { kind: "stopping" } : outcome;
  }

  return {
    async once(event, run) {
      try {
        return await look(event, run);
      } catch (error) {
        return { kind: "threw", error };
      }
    },
    async complete(event, tx) {
      if (await inbox.recordIn(tx, entryOf(event))) return;
      throw new JobError("EVENT_HANDLED_BEFORE", `event ${event.id} was handled by ${subscription} before`, {
        details: { eventId: event.id, subscription },
      });
    },
  };
}
