import type { RunSql } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { z } from "zod";
import { Abortable } from "../abortable.ts";
import type { JobAbortedError } from "../errors.ts";
import type { EventDefinition } from "./define.ts";
import { type Attributes, readTime } from "./wire.ts";

/** What a subscriber's handler gets: one delivery of one event. */
export interface Event<Type extends string = string, Data = unknown> {
  /** The same at every delivery, to every subscriber. */
  readonly id: string;
  readonly type: Type;
  /** Version of the data's shape; `undefined` when the publisher did not say. */
  readonly version: number | undefined;
  readonly data: Data;
  /** Who published it; empty when the publisher did not say. */
  readonly source: string;
  readonly subject: string | undefined;
  /** When it was published, by the publisher's clock. */
  readonly time: Date | undefined;
  /** This attempt of this subscription, from 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** Whether a person had this dead event delivered again. */
  readonly replayed: boolean;
  /** One id from the first request to the last job it caused. What this handler enqueues and publishes inherits it. */
  readonly correlationId: string;
  /** `<service>.<subscription>`. */
  readonly subscription: string;
  /** Aborts with a `JobAbortedError`: `EVENT_TIMEOUT`, `SUBSCRIBER_STOPPING`. Pass it to whatever you await. */
  readonly signal: AbortSignal;
  /** When the signal aborts for lack of time, by this machine's clock. */
  readonly deadline: Date;
  readonly log: Logger;
  /**
   * For subscriptions with an inbox: notes in the caller's transaction that the event is handled, so that its effects and the note are one
   * commit, and another delivery of it has no effect. Return after the commit.
   * @throws JobError `EVENT_HANDLED_BEFORE` when another delivery was handled meanwhile: let it roll the transaction back.
   * @throws JobError `EVENT_INBOX_OFF`.
   */
  complete(tx: RunSql): Promise<void>;
}

/** The event of a definition as its handler gets it. */
export type EventOf<Definition extends EventDefinition> =
  Definition extends EventDefinition<infer Type, infer Schema> ? Event<Type, z.output<Schema>> : never;

export interface EventServices {
  readonly log: Logger;
  readonly subscription: string;
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  complete(event: ReceivedEvent, tx: RunSql): Promise<void>;
}

/** Signal, log and deadline are made when first looked at: most handlers use none of them. */
export class ReceivedEvent implements Event {
  readonly id: string;
  readonly data: unknown;
  readonly correlationId: string;
  readonly attributes: Attributes;
  /** Whether `complete` was called and answered. */
  completed = false;
  readonly #services: EventServices;
  readonly #startedAt: number;
  readonly #abortable = new Abortable();
  #log: Logger | undefined;

  constructor(id: string, attributes: Attributes, data: unknown, services: EventServices) {
    this.id = id;
    this.attributes = attributes;
    this.data = data;
    this.correlationId = attributes.correlationId ?? id;
    this.#services = services;
    this.#startedAt = Date.now();
  }

  get type(): string {
    return this.attributes.type;
  }
  get version(): number | undefined {
    return this.attributes.version;
  }
  get source(): string {
    return this.attributes.source ?? "";
  }
  get subject(): string | undefined {
    return this.attributes.subject;
  }
  get time(): Date | undefined {
    return readTime(this.attributes.time);
  }
  get attempt(): number {
    return this.attributes.attempt;
  }
  get maxAttempts(): number {
    return this.#services.maxAttempts;
  }
  get replayed(): boolean {
    return this.attributes.replayOf !== undefined;
  }
  get subscription(): string {
    return this.#services.subscription;
  }
  get deadline(): Date {
    return new Date(this.#startedAt + this.#services.timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#abortable.signal;
  }

  get log(): Logger {
    this.#log ??= this.#services.log.child({
      eventId: this.id,
      event: this.type,
      subscription: this.subscription,
      attempt: this.attempt,
    });
    return this.#log;
  }

  /** Why the signal aborted, if it did. */
  get aborted(): JobAbortedError | undefined {
    return this.#abortable.reason;
  }

  /** Aborts the signal; the first reason stays. */
  abort(reason: JobAbortedError): void {
    this.#abortable.abort(reason);
  }

  complete = async (tx: RunSql): Promise<void> => {
    await this.#services.complete(this, tx);
    this.completed = true;
  };
}
