/** Where a job stands. `blocked`: a job of its flow that it depends on is not finished. `retrying` is `scheduled` after at least one attempt. */
export type UnfinishedState = "blocked" | "scheduled" | "ready" | "running" | "retrying";
export type FinishedState = "succeeded" | "dead" | "cancelled";
export type JobState = UnfinishedState | FinishedState;

/** What went wrong in an attempt, as the ledger keeps it. Never holds secrets: the caller redacts. */
export interface JobError {
  readonly code: string;
  readonly message: string;
  readonly stack?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A kept error: which attempt, and when the ledger heard of it (database time, ISO 8601). */
export interface RecordedError extends JobError {
  readonly attempt: number;
  readonly at: string;
}

/** Of how many jobs of a name and key there may be one at a time. */
export interface Uniqueness {
  /** Up to 200 characters. The same job name and key is the same work. */
  readonly key: string;
  /** How long the job holds the key: until a worker starts it, or until it is finished for good. Without effect with `forMs`. */
  readonly until: "started" | "finished";
  /** Holds the key for this long from the enqueue instead, whatever becomes of the job. */
  readonly forMs?: number;
  /**
   * What becomes of a job whose key is held. `ignore`: nothing. `replace`: a holder that has not started takes its payload. `extend`: and
   * its start as well (debounce). `keep-last`: and if the holder runs, the latest runs after it.
   */
  readonly onConflict: "ignore" | "replace" | "extend" | "keep-last";
}

/** What an enqueue did with a job whose unique key was held. */
export type Deduplicated = "ignored" | "replaced" | "extended" | "kept";

/** What only some jobs have. A job without any of it takes the short way into the ledger. */
export interface RareFields {
  /** The key that limits, order and fairness go by. */
  readonly limitKey?: string;
  /** Its end has follow-ups: see `follow-ups.ts`. */
  readonly linked?: boolean;
  /** Not before something unblocks it, whatever its start says. */
  readonly blocked?: boolean;
  readonly flowId?: string;
  readonly uniqueKey?: string;
  /** Name of the schedule that made it. */
  readonly schedule?: string;
  /** How `payload` is to be read; without it, plain JSON. */
  readonly payloadForm?: string;
  /** Fields chosen for search. */
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
}

/** When a job may run first: at once, after a delay counted by the database's clock, or at an instant. */
export type JobStart =
  | { readonly delayMs?: undefined; readonly runAt?: undefined }
  | { readonly delayMs: number; readonly runAt?: undefined }
  | { readonly delayMs?: undefined; readonly runAt: Date };

export type NewJob = JobStart &
  RareFields & {
    /**
     * Only to repeat an enqueue whose answer was lost: a job that exists under this id, finished or not, is not made again.
     * Default: a fresh UUIDv7, which costs less. For ids of your own choice use `key`.
     */
    readonly id?: string;
    /** The id was made for this job just now (`newId`): it cannot be known yet, and nothing is looked up. */
    readonly idIsFresh?: boolean;
    readonly queue: string;
    /** Name of the job definition. */
    readonly name: string;
    /** Version of the payload's schema. */
    readonly version: number;
    /** JSON. Strings must not hold U+0000 or lone surrogates: Postgres cannot store them. */
    readonly payload: unknown;
    readonly priority?: number;
    /** How many attempts count before the job is dead. */
    readonly maxAttempts: number;
    /** How many stalls (lost workers) are forgiven; one more and the job is dead. */
    readonly maxStalls: number;
    /** The same name and key is the same job, until history is dropped. */
    readonly key?: string;
    /** Not together with `id` or `key`. */
    readonly unique?: Uniqueness;
    /** Breakers (`provider:operation`) that must be closed for the job to run. */
    readonly breakers?: readonly string[];
    readonly correlationId: string;
    /** W3C `traceparent` of the creator. */
    readonly trace?: string;
    /** Who publishes it: the enqueuing process right after its commit (the dispatcher waits 5 s), or the dispatcher at once. */
    readonly sendBy: "enqueuer" | "dispatcher";
  };

export interface EnqueueResult {
  readonly id: string;
  /** `false`: the id or key was known, and nothing was written. */
  readonly created: boolean;
  /** State of the job when the statement ran. Only a `ready` job that does not wait is worth a message. */
  readonly state: JobState;
  /** Its unique key was held: what was done with it. The id is the holder's. */
  readonly deduplicated?: Deduplicated;
  /** Its queue is governed: when it is ready it waits in the ledger until a dispatcher lets it go. */
  readonly waits?: true;
}

/** A job in the hands of a worker. */
export interface ClaimedJob {
  readonly id: string;
  readonly queue: string;
  readonly name: string;
  readonly version: number;
  readonly payload: unknown;
  /** The fence: settling must name it. Counts every claim. */
  readonly attempt: number;
  /** How many of these attempts do not count against `maxAttempts`. */
  readonly excused: number;
  readonly maxAttempts: number;
  readonly stalls: number;
  readonly correlationId: string;
  readonly trace: string | undefined;
  readonly key: string | undefined;
  readonly rare: ClaimedRareFields;
  readonly breakers: readonly string[];
  /** It runs to find out whether an open breaker may close. */
  readonly probe: boolean;
  readonly runAt: Date;
  readonly createdAt: Date;
  /** Database time of the claim. */
  readonly claimedAt: Date;
  /** From when it was due to the claim, by the database's clock. */
  readonly waitMs: number;
  /** `false` only after an early claim: a crash of Postgres may still forget it. See `confirmClaims`. */
  readonly durable: boolean;
}

/** As `RareFields`, of a job in the hands of a worker. */
export interface ClaimedRareFields {
  readonly limitKey?: string;
  readonly linked?: boolean;
  readonly flowId?: string;
  readonly uniqueKey?: string;
  readonly schedule?: string;
  readonly payloadForm?: string;
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
}

/** A ready job that somebody should publish. */
export interface SendableJob {
  readonly id: string;
  readonly queue: string;
  readonly name: string;
  /** For `confirmSent`. */
  readonly attempt: number;
}

/** Everything the ledger knows about one job. */
export interface JobRecord {
  readonly id: string;
  readonly queue: string;
  readonly name: string;
  readonly version: number;
  readonly state: JobState;
  readonly payload: unknown;
  /** What the handler returned; only of a `succeeded` job. */
  readonly result: unknown;
  /** Why the job is dead or cancelled. */
  readonly reason: string | undefined;
  readonly errors: readonly RecordedError[];
  readonly attempt: number;
  readonly excused: number;
  readonly maxAttempts: number;
  readonly stalls: number;
  readonly maxStalls: number;
  readonly priority: number;
  readonly key: string | undefined;
  readonly correlationId: string;
  readonly trace: string | undefined;
  /** The worker that runs it, or ran it last. */
  readonly workerId: string | undefined;
  /** The breaker that holds it back. */
  readonly heldBy: string | undefined;
  /** The key that limits, order and fairness go by. */
  readonly limitKey: string | undefined;
  readonly flowId: string | undefined;
  readonly uniqueKey: string | undefined;
  readonly schedule: string | undefined;
  readonly payloadForm: string | undefined;
  readonly attributes: Readonly<Record<string, string | number | boolean>> | undefined;
  readonly cancelRequestedAt: Date | undefined;
  /** Why somebody wanted it cancelled, and who. */
  readonly cancelReason: string | undefined;
  readonly cancelledBy: string | undefined;
  readonly createdAt: Date;
  readonly runAt: Date;
  readonly claimedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
}
