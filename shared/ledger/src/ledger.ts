import type pg from "pg";
import type { ClaimRequest } from "./attempts/claim.ts";
import type { ConfirmedClaims, UnsureClaim } from "./attempts/confirm-claims.ts";
import type { Settled, Settlement } from "./attempts/outcome.ts";
import type { Breaker, BreakerReport } from "./breakers.ts";
import type { CacheStore } from "./cache.ts";
import type { Cancelled } from "./cancel.ts";
import type { ControlLedger } from "./control/control.ts";
import type { DeadLetter, RecordedDeadLetter } from "./dead-letters.ts";
import type { Delayed } from "./delayed.ts";
import type { EventLedger } from "./events/events.ts";
import type { Flows } from "./flows/flows.ts";
import type { ClaimedJob, EnqueueResult, JobError, JobRecord, NewJob, SendableJob } from "./job.ts";
import type { Beat, Expired } from "./leases/rescue.ts";
import type { BeatAnswer, HeldAttempt, LivingWorker, NewWorker } from "./leases/workers.ts";
import type { Limits } from "./limits/limits.ts";
import type { Maintained, RetentionPolicy } from "./partitions.ts";
import type { PayloadRecords } from "./payloads.ts";
import type { Row } from "./postgres/database.ts";
import type { RunSql, Statement, TableName } from "./postgres/sql.ts";
import type { SentJob } from "./release.ts";
import type { Schedules } from "./schedules/schedules.ts";

/**
 * The truth about every job, in Postgres. Open it with `openLedger`; every method throws a `LedgerError`:
 * `LEDGER_UNAVAILABLE` and `LEDGER_CONFLICT` are worth another try, the others are not.
 */
export interface Ledger extends AsyncDisposable {
  readonly schema: string;
  /** Qualified, quoted name of a table of the schema, for sibling modules' statements. */
  readonly table: TableName;
  readonly pool: pg.Pool;
  /** One statement in its own transaction. */
  readonly query: RunSql;
  /** The same, prepared once per connection: for sibling modules' hot statements. */
  readonly run: (
    statement: Statement,
    values: readonly unknown[],
    lastParts?: readonly Buffer[],
  ) => Promise<readonly Row[]>;
  /** Runs `work` in one transaction: commits when it resolves, rolls back when it throws. */
  readonly transaction: <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;
  /** Throws `LEDGER_SCHEMA_BEHIND`, `LEDGER_SCHEMA_NEWER` or `LEDGER_MIGRATION_CHANGED`. */
  checkSchema(): Promise<void>;
  /** Whether Postgres answers; throws `LEDGER_UNAVAILABLE`. For health checks. */
  ping(): Promise<void>;

  /**
   * Writes jobs, all of one call or none; concurrent calls share a statement. A job whose key is known is not written
   * (`created: false`), however many processes enqueue it at once.
   */
  enqueue(jobs: readonly NewJob[]): Promise<readonly EnqueueResult[]>;
  /** The same in the caller's transaction (read committed): nothing is there before it commits. Publish only after that. */
  enqueueIn(run: RunSql, jobs: readonly NewJob[]): Promise<readonly EnqueueResult[]>;

  /** Lets a unique key of a job name go, so that the next enqueue makes a job. Answers whether it was held. */
  releaseUnique(name: string, key: string): Promise<boolean>;

  /**
   * Takes ready jobs for a worker: `ready` → `running`, attempt + 1. Returns those it got; the others are done, held, not due or
   * another worker's, and their messages are settled business. Throws `LEDGER_WORKER_ENDED` if the worker's lease is over.
   * After `LEDGER_UNAVAILABLE` it is unknown whether the claim happened: do not ack, and ask `runningOf`.
   */
  claim(claim: ClaimRequest): Promise<readonly ClaimedJob[]>;
  /**
   * Makes early claims durable, once the answer is there: those that Postgres still knows, and those that it forgot in a crash and nobody
   * has had since, which are claimed again under the same attempt. Those not in `kept` are not this attempt's any more: ended, taken
   * away, or changed. Counts as a beat. Safe to repeat.
   */
  confirmClaims(workerId: string, claims: readonly UnsureClaim[]): Promise<ConfirmedClaims>;
  /** Ends an attempt. Safe to repeat after any error: a repeated settlement is `already`. */
  settle(settlement: Settlement): Promise<Settled>;
  /** Ends an attempt inside the caller's transaction. Throws `FencedError` when the job is no longer this attempt's. */
  settleIn(run: RunSql, settlement: Settlement): Promise<void>;

  registerWorker(worker: NewWorker): Promise<void>;
  /** `alive: false`: the lease is over, all claims were taken away; register again under a new id. */
  beat(workerId: string): Promise<BeatAnswer>;
  /** The worker runs so many jobs at once from now on. */
  resizeWorker(workerId: string, concurrency: number): Promise<void>;
  /** Ends the lease and hands its running jobs back to be sent again. Returns how many those were. */
  retireWorker(workerId: string): Promise<{ readonly handedBack: number }>;
  /** Which running jobs carry the worker's id: what it does not know of was claimed by a statement whose answer was lost. */
  runningOf(workerId: string): Promise<readonly HeldAttempt[]>;
  /** Hands claims back, excused: `running` → `ready`. Those no longer its own are left alone. */
  giveBack(
    workerId: string,
    attempts: readonly { readonly id: string; readonly attempt: number }[],
  ): Promise<{ readonly handedBack: number }>;

  /** All workers that run or have not been missed yet, the oldest first, with what they do. */
  livingWorkers(): Promise<readonly LivingWorker[]>;
  /** The beats of all living workers, for `observe`. */
  beats(): Promise<readonly Beat[]>;
  /** Ends the lease of a worker that still shows this beat, and takes its jobs away, each with one stall more. */
  expireWorker(worker: { readonly id: string; readonly beatSeq: string }): Promise<Expired>;

  /** Jobs whose time has come → `ready`, to be published by the caller within 10 s. */
  takeDue(take: { readonly limit: number }): Promise<readonly SendableJob[]>;
  /** Ready jobs that nobody has published, to be published by the caller within 10 s. */
  takeUnsent(take: { readonly limit: number }): Promise<readonly SendableJob[]>;
  /**
   * Ready jobs of a queue that were published at least `sentForMs` ago and never claimed, to be published again by the caller.
   * Only when the broker's queue is too short for them to be waiting there.
   */
  takeLost(take: {
    readonly queue: string;
    readonly sentForMs: number;
    readonly limit: number;
  }): Promise<readonly SendableJob[]>;
  /**
   * Remembers that these were published and confirmed, if they are still waiting. Returns how many were. Fenced by the attempt: a
   * job that was claimed and came back meanwhile is not marked by the message that it used up.
   */
  confirmSent(sent: readonly SentJob[]): Promise<{ readonly waiting: number }>;
  /** Queues that living workers serve or that have ready jobs. */
  queues(): Promise<readonly string[]>;
  /** Queues that have ready jobs. */
  readyQueues(): Promise<readonly string[]>;
  /** For how long the oldest ready job of each queue has been due. Reads one index entry a queue. */
  oldestReady(): Promise<readonly { readonly queue: string; readonly ageMs: number }[]>;

  /** Jobs that depend on each other. */
  readonly flows: Flows;

  /** Breakers that were ever reported, and those that hold jobs. */
  breakers(): Promise<readonly Breaker[]>;
  reportBreaker(report: BreakerReport): Promise<void>;
  /** Open and past its time to retry → half open, and lets exactly one held job go, as a probe. */
  probeBreaker(name: string): Promise<{ readonly released: readonly SendableJob[] }>;
  /** Lets held jobs of a closed breaker go, twice as many at each call up to `limit`. */
  releaseHeld(release: { readonly name: string; readonly limit: number }): Promise<readonly SendableJob[]>;

  /** Events that are not sent yet, were handled, or died. */
  readonly events: EventLedger;
  /** Policies of queues: limits, order, fairness, priorities, pauses. */
  readonly limits: Limits;

  /** Keeps a message that the broker gave up on, once, and has its jobs that are still ready sent again. */
  recordDeadLetter(letter: DeadLetter): Promise<RecordedDeadLetter>;

  /** How many recorded dead letters name each of these jobs; jobs without any are left out. */
  deadLettersOf(ids: readonly string[]): Promise<readonly { readonly id: string; readonly count: number }[]>;
  /**
   * Gives up on jobs that were never claimed: `ready` → `dead`. For jobs whose messages the broker gives up on again and again.
   * Returns the ids it changed.
   */
  condemn(
    ids: readonly string[],
    verdict: { readonly reason: string; readonly error: JobError },
  ): Promise<readonly string[]>;

  /** Sealed payloads, objects in the payload store, and search by chosen fields. */
  readonly payloads: PayloadRecords;
  findJob(id: string): Promise<JobRecord | undefined>;
  /** Cancels a job that is not running; `control.cancel` asks those that are. */
  cancel(id: string, reason: string, by?: string): Promise<Cancelled>;
  /** What people do to jobs: cancel, retry, discard, look. */
  readonly control: ControlLedger;

  /** Jobs that wait for their time. */
  readonly delayed: Delayed;
  /** What makes jobs by the clock. */
  readonly schedules: Schedules;

  /** Makes coming days of history, drops those past retention, forgets old keys and expired cache rows. Run it hourly. */
  maintainPartitions(policy: RetentionPolicy): Promise<Maintained>;
  /** A cache shared by all processes, with expiry by the database's clock. */
  cacheStore(): CacheStore;
}
