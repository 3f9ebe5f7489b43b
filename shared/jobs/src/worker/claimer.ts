import { setTimeout as sleep } from "node:timers/promises";
import type { ClaimedJob, Ledger } from "@warren/ledger";
import { type Logger } from "@warren/observability";
import type { Draft, Inbox, Waiting } from "./inbox.ts";
import type { Slots } from "./slots.ts";

export interface ClaimerOptions {
  readonly ledger: Pick<Ledger, "claim" | "runningOf" | "giveBack">;
  readonly inbox: Inbox;
  readonly slots: Slots;
  /** Under which id to claim now. */
  readonly workerId: () => string;
  /** Jobs of this queue begin only when their claims are on disk. */
  readonly isDurable: (queue: string) => boolean;
  /**
   * Takes a claimed job; its slot is taken already. With its message, if that has to wait for the claim to be proved. Answers whether it
   * needs the slot: not if it runs here already.
   */
  readonly run: (job: ClaimedJob, workerId: string, message: Waiting | undefined) => boolean;
  /** Whether this process knows the attempt: it runs, or its outcome waits to be settled. */
  readonly knows: (id: string, attempt: number) => boolean;
  /** Whether another claim may start now, beside free slots: not while too many outcomes are unsettled. */
  readonly ready: () => boolean;
  /** The ledger says that the worker's lease is over. */
  readonly leaseEnded: (workerId: string) => void;
  readonly log: Logger;
  readonly random: () => number;
}

/** Turns messages into running jobs: as many as there are slots, many in one statement. */
export interface Claimer {
  /** Something changed: a message came, a slot is free. Claims start in this turn of the event loop. */
  poke(): void;
  /** Resolves when no claim is under way; that none starts meanwhile is for `ready` to say. */
  answered(): Promise<void>;
  /** Starts no more claims; resolves when those under way are answered. */
  stop(): Promise<void>;
}

/** Two statements under way, and what arrives meanwhile forms the next: group commit. */
const maxClaimsInFlight = 2;
const maxIdsPerClaim = 250;
const firstPauseMs = 100;
const longestPauseMs = 5_000;

export function createClaimer(options: ClaimerOptions): Claimer {
  const { ledger, inbox, slots, log, random } = options;
  const stopping = new AbortController();
  const inFlight = new Set<Promise<void>>();
  let scheduled = false;
  let failures = 0;
  /** Why no claim may start: after a failure, until the ledger has said which claims it holds for us. */
  let mending: Promise<void> | undefined;

  function poke(): void {
    if (scheduled || stopping.signal.aborted) return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      start();
    });
  }

  function start(): void {
    while (mayClaim()) {
      const places = inbox.isEmpty ? 0 : slots.take(maxIdsPerClaim);
      if (places === 0) return;
      const draft = inbox.draw(places);
      slots.give(places - draft.ids.length);
      const claiming = claim(draft).finally(() => {
        inFlight.delete(claiming);
        poke();
      });
      inFlight.add(claiming);
    }
  }

  function mayClaim(): boolean {
    const open = mending === undefined && !stopping.signal.aborted;
    return open && inFlight.size < maxClaimsInFlight && options.ready();
  }

  async function claim(draft: Draft): Promise<void> {
    const workerId = options.workerId();
    let jobs: readonly ClaimedJob[];
    try {
      const early = !draft.parts.some(({ from }) => options.isDurable(from.queue));
      jobs = await ledger.claim({ workerId, ids: draft.ids, early });
    } catch (error) {
      inbox.unanswered(draft);
      slots.give(draft.ids.length);
      failed(workerId, error);
      return;
    }
    failures = 0;
    const messages = inbox.answered(draft, jobs);
    const begun = jobs.filter((job) => options.run(job, workerId, messages.get(job)));
    slots.give(draft.ids.length - begun.length);
  }

  function failed(workerId: string, error: unknown): void {
    failures += 1;
    log.warn({ err: error, failures }, "claim failed; trying again");
    if (isLeaseEnded(error)) options.leaseEnded(workerId);
    mending ??= mend().finally(() => {
      mending = undefined;
      poke();
    });
  }

  /** The answer of a failed claim is unknown: its jobs may be running under our living heartbeat, with nobody to run them. */
  async function mend(): Promise<void> {
    while (!stopping.signal.aborted) {
      const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures, 10)) * (0.5 + random());
      await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      try {
        await reconcile();
        return;
      } catch (error) {
        failures += 1;
        log.warn({ err: error }, "the ledger does not answer");
      }
    }
  }

  async function reconcile(): Promise<void> {
    // a claim under way is not known yet, and must not be taken for a lost one
    while (inFlight.size > 0) await Promise.all(inFlight);
    const workerId = options.workerId();
    const held = await ledger.runningOf(workerId);
    const unknown = held.filter(({ id, attempt }) => !options.knows(id, attempt));
    if (unknown.length === 0) return;
    const { handedBack } = await ledger.giveBack(workerId, unknown);
    log.warn({ workerId, jobs: unknown.map(({ id }) => id), handedBack }, "jobs of a lost claim handed back");
  }

  return {
    poke,
    async answered() {
      while (inFlight.size > 0) await Promise.all(inFlight);
    },
    async stop() {
      stopping.abort();
      await Promise.all(inFlight);
      await mending;
    },
  };
}

function isLeaseEnded(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "LEDGER_WORKER_ENDED";
}
