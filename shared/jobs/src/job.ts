import { type ClaimedJob, type RunSql, scheduledFor } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { Abortable } from "./abortable.ts";
import type { JobDefinition, PayloadOf } from "./define.ts";
import type { EnqueueOptions } from "./enqueue/draft.ts";
import type { Enqueued } from "./enqueue/writer.ts";
import type { JobAbortedError } from "./errors.ts";
import type { JobFlow } from "./flows/job-flow.ts";

/** What a handler gets: one attempt of one job. */
export interface Job<Payload, Result> {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly queue: string;
  readonly payload: Payload;
  /** This attempt, from 1. Snoozes, holds, stalls and hand-backs are not counted. */
  readonly attempt: number;
  /**
   * The number of this claim: every claim has another one, excused or not. For records that must tell attempts apart: there a crash of Postgres
   * must not make it forget a number, so give the handler `durableStart`.
   */
  readonly fence: number;
  readonly maxAttempts: number;
  /** One id from the first request to the last job it caused. What this handler enqueues inherits it. */
  readonly correlationId: string;
  /** The id given at enqueue by the caller, if one was. */
  readonly givenId: string | undefined;
  /** The key given at enqueue that limits, order and fairness go by, if one was. */
  readonly key: string | undefined;
  /** Name of the schedule that made it, if one did. */
  readonly schedule: string | undefined;
  /** The instant that its schedule meant, however late it runs; of a run triggered by hand, when it was triggered. */
  readonly scheduledFor: Date | undefined;
  /** Aborts with a `JobAbortedError`: `JOB_TIMEOUT`, `JOB_LEASE_LOST`, `JOB_WORKER_STOPPING`, `JOB_CANCELLED`. Pass it to whatever you await. */
  readonly signal: AbortSignal;
  /** When the signal aborts for lack of time, by this machine's clock. */
  readonly deadline: Date;
  /** Carries job id, name and attempt; the correlation id comes from the context. */
  readonly log: Logger;
  /**
   * Completes the job inside the caller's transaction: its database effects and its completion are one commit. Return right after the
   * commit; what the handler returns is then ignored.
   * @throws FencedError (`JOB_FENCED`) when the job is no longer this attempt's: let it roll the transaction back.
   * @throws JobDataError (`JOB_RESULT_INVALID`, `JOB_RESULT_UNSERIALISABLE`).
   */
  complete(tx: RunSql, result: Result): Promise<void>;
  /**
   * Says how far it is, as any JSON of up to 16 KiB. The last value is kept with the job; written a few times a second at most, however often
   * it is called. Plain even where payloads are sealed. @throws JobDataError `JOB_PROGRESS_INVALID`.
   */
  progress(value: unknown): void;
  /**
   * Adds a line that is kept with the job, for people to read: up to 2,000 characters, 1,000 lines and 256 KiB an attempt; what is beyond is
   * dropped. Plain even where payloads are sealed. @throws JobDataError `JOB_PROGRESS_INVALID` when it is no text.
   */
  note(text: string): void;
  /** As `client.enqueue`, through the worker's own client. */
  enqueue<Definition extends JobDefinition>(
    definition: Definition,
    payload: PayloadOf<Definition>,
    options?: EnqueueOptions,
  ): Promise<Enqueued>;
  /** The flow it belongs to: results of what it comes after, and adding jobs at run time. */
  readonly flow: JobFlow;
}

/** What an attempt can ask of its worker. */
export interface AttemptServices {
  readonly log: Logger;
  complete(attempt: Attempt, tx: RunSql, result: unknown): Promise<void>;
  readonly enqueue: Job<unknown, unknown>["enqueue"];
  progress(attempt: Attempt, value: unknown): void;
  note(attempt: Attempt, text: string): void;
  flow(attempt: Attempt): JobFlow;
}

/**
 * One attempt in a worker. Signal, log and deadline are made when first looked at: most short handlers use none of them, and together
 * they cost as much as claiming the job.
 */
export class Attempt implements Job<unknown, unknown> {
  claimed: ClaimedJob;
  /** Under which id the worker claimed it; a fenced worker goes on under another. */
  readonly workerId: string;
  /** Set once, from the definition's schema, before the handler runs. */
  payload: unknown;
  /** Whether `complete` was called and answered. */
  completed = false;
  readonly #services: AttemptServices;
  readonly #timeoutMs: number;
  readonly #startedAt: number;
  readonly #abortable = new Abortable();
  #log: Logger | undefined;
  #flow: JobFlow | undefined;

  constructor(claimed: ClaimedJob, workerId: string, timeoutMs: number, services: AttemptServices) {
    this.claimed = claimed;
    this.workerId = workerId;
    this.#timeoutMs = timeoutMs;
    this.#services = services;
    this.#startedAt = Date.now();
  }

  get id(): string {
    return this.claimed.id;
  }
  get name(): string {
    return this.claimed.name;
  }
  get version(): number {
    return this.claimed.version;
  }
  get queue(): string {
    return this.claimed.queue;
  }
  get attempt(): number {
    return countedAttempt(this.claimed);
  }
  get fence(): number {
    return this.claimed.attempt;
  }
  get maxAttempts(): number {
    return this.claimed.maxAttempts;
  }
  get correlationId(): string {
    return this.claimed.correlationId;
  }
  get givenId(): string | undefined {
    return this.claimed.key;
  }
  get key(): string | undefined {
    return this.claimed.rare.limitKey;
  }
  get schedule(): string | undefined {
    return this.claimed.rare.schedule;
  }
  get scheduledFor(): Date | undefined {
    return this.schedule === undefined ? undefined : scheduledFor(this.claimed.key);
  }
  get deadline(): Date {
    return new Date(this.#startedAt + this.#timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#abortable.signal;
  }

  get log(): Logger {
    this.#log ??= this.#services.log.child({
      jobId: this.id,
      job: this.name,
      queue: this.queue,
      attempt: this.attempt,
    });
    return this.#log;
  }

  get flow(): JobFlow {
    this.#flow ??= this.#services.flow(this);
    return this.#flow;
  }

  /** Its payload was sealed, and this is what was in it. */
  reveal(payload: unknown): void {
    this.claimed = { ...this.claimed, payload };
  }

  /** Why the signal aborted, if it did. */
  get aborted(): JobAbortedError | undefined {
    return this.#abortable.reason;
  }

  /** Aborts the signal; the first reason stays. */
  abort(reason: JobAbortedError): void {
    this.#abortable.abort(reason);
  }

  complete = async (tx: RunSql, result: unknown): Promise<void> => {
    await this.#services.complete(this, tx, result);
    this.completed = true;
  };

  progress = (value: unknown): void => this.#services.progress(this, value);

  note = (text: string): void => this.#services.note(this, text);

  enqueue: Job<unknown, unknown>["enqueue"] = (definition, payload, options) =>
    this.#services.enqueue(definition, payload, options);
}

/** The attempt as its author counts: without those that were excused. */
export function countedAttempt(claimed: Pick<ClaimedJob, "attempt" | "excused">): number {
  return claimed.attempt - claimed.excused;
}
