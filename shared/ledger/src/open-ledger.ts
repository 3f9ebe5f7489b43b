import { createClaim } from "./attempts/claim.ts";
import { createConfirmClaims } from "./attempts/confirm-claims.ts";
import { createSettle } from "./attempts/settle.ts";
import { createBreakers } from "./breakers.ts";
import { createCacheStore } from "./cache.ts";
import { createCancel } from "./cancel.ts";
import { createControlLedger } from "./control/control.ts";
import { createDeadLetters } from "./dead-letters.ts";
import { createDelayed } from "./delayed.ts";
import { createEnqueue } from "./enqueue/enqueue.ts";
import { createUniqueJobs } from "./enqueue/unique.ts";
import { createEventLedger } from "./events/events.ts";
import { createFind } from "./find.ts";
import { createFlows } from "./flows/flows.ts";
import { createFollowUps, type FollowUp, type FollowUps } from "./follow-ups.ts";
import { createInstruments } from "./instruments.ts";
import { createRescue } from "./leases/rescue.ts";
import { createWorkers } from "./leases/workers.ts";
import type { Ledger } from "./ledger.ts";
import { createLimits } from "./limits/limits.ts";
import type { LedgerLog, LedgerMetrics } from "./log.ts";
import { newId as freshId } from "./new-id.ts";
import { maintain } from "./partitions.ts";
import { createPayloadRecords } from "./payloads.ts";
import { openDatabase } from "./postgres/database.ts";
import { checkSchema } from "./postgres/migrations.ts";
import { retrying } from "./postgres/retrying.ts";
import { parseSchemaName, tablesOf } from "./postgres/sql.ts";
import { createRelease } from "./release.ts";
import { createSchedules } from "./schedules/schedules.ts";

export interface OpenLedgerOptions {
  readonly connectionString: string;
  /** Default `warren`. */
  readonly schema?: string;
  readonly log: LedgerLog;
  readonly metrics?: LedgerMetrics;
  /** Connections to Postgres at most. Default 8. */
  readonly poolSize?: number;
  /** Shown in `pg_stat_activity`. Default `warren`. */
  readonly applicationName?: string;
  /** Default 15 s; the client waits 5 s longer, then takes the connection for dead. */
  readonly statementTimeoutMs?: number;
  /** Default 5 s. */
  readonly lockTimeoutMs?: number;
  /** For a new connection, and for waiting for a free one. Default 5 s. */
  readonly connectTimeoutMs?: number;
  /** How often reads and repeatable calls are tried again at once after a lost connection or a conflict. Default 2. */
  readonly retries?: number;
  /** Pause before such a retry; doubles. Default 50 ms. */
  readonly retryDelayMs?: number;
  /** Days of history that are made ahead. Default 3. */
  readonly daysAhead?: number;
  /** Makes the ids of jobs: UUIDv7, since history is partitioned by their time. */
  readonly newId?: () => string;
}

/**
 * Opens the ledger. Does not need the database to be up: connections are made by the first call, and made again after a loss.
 * Dispose it to close them; calls under way finish first.
 */
export async function openLedger(options: OpenLedgerOptions): Promise<Ledger> {
  const schema = parseSchemaName(options.schema ?? "warren");
  const { newId = freshId, daysAhead = 3 } = options;
  const table = tablesOf(schema);
  const database = openDatabase({
    connectionString: options.connectionString,
    poolSize: options.poolSize ?? 8,
    applicationName: options.applicationName ?? "warren",
    statementTimeoutMs: options.statementTimeoutMs ?? 15_000,
    lockTimeoutMs: options.lockTimeoutMs ?? 5_000,
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    log: options.log,
  });
  const { onBatch } = createInstruments(options.metrics, database.pool);
  const again = retrying({ retries: options.retries ?? 2, delayMs: options.retryDelayMs ?? 50 });
  const { repeatable, undone } = again;

  const flow = createFlows({ database, table, newId, followUps: () => followUps, again });
  // In the order in which they run in the transaction that finishes linked jobs.
  const uniqueJobs = createUniqueJobs({ database, table, onBatch });
  const hooks: readonly FollowUp[] = [uniqueJobs.followUp, flow.followUp];
  const followUps: FollowUps = createFollowUps(hooks, (error) => {
    options.log.warn({ err: error }, "follow-up of finished jobs left to the dispatcher");
  });

  const enqueue = createEnqueue({ database, table, newId, onBatch, uniqueJobs });
  const claiming = createClaim({ database, table, onBatch });
  const confirmClaims = createConfirmClaims(database, table);
  const settle = createSettle({ database, table, onBatch, followUps });
  const workers = createWorkers({ database, table, followUps });
  const rescue = createRescue({ database, table, followUps });
  const release = createRelease(database, table);
  const breakers = createBreakers(database, table);
  const find = createFind(database, table);
  const cancel = createCancel({ database, table, followUps });
  const deadLetters = createDeadLetters({ database, table, newId, followUps });
  const cache = createCacheStore(database, table);
  const delayed = createDelayed({ database, table, followUps, repeatable, undone });
  const { enqueueIn } = enqueue;
  const schedules = createSchedules({ database, table, newId, enqueueIn, followUps, repeatable, undone });

  return {
    schema,
    table,
    pool: database.pool,
    query: database.query,
    run: database.run,
    transaction: database.transaction,
    checkSchema: () => repeatable(() => checkSchema(database.query, schema)),
    ping: async () => {
      await repeatable(() => database.query("select 1", []));
    },

    // What the database rolled back may be repeated at once; what may have been committed, only where a repetition is harmless.
    enqueue: (jobs) => undone(() => enqueue.enqueue(jobs)),
    enqueueIn: enqueue.enqueueIn,
    releaseUnique: (name, key) => repeatable(() => uniqueJobs.release(name, key)),
    claim: (claim) => undone(() => claiming.claim(claim)),
    confirmClaims: (workerId, claims) => repeatable(() => confirmClaims(workerId, claims)),
    settle: (settlement) => repeatable(() => settle.settle(settlement)),
    settleIn: settle.settleIn,

    registerWorker: (worker) => repeatable(() => workers.register(worker)),
    beat: (workerId) => repeatable(() => workers.beat(workerId)),
    resizeWorker: (workerId, concurrency) => repeatable(() => workers.resize(workerId, concurrency)),
    retireWorker: async (workerId) => {
      const retired = await repeatable(() => workers.retire(workerId));
      claiming.forget(workerId);
      return retired;
    },
    runningOf: (workerId) => repeatable(() => workers.runningOf(workerId)),
    giveBack: (workerId, attempts) =>
      repeatable(async () => {
        const settled = await settle.settleAll(
          attempts.map(({ id, attempt }) => ({ id, attempt, workerId, outcome: { kind: "returned" } })),
        );
        return { handedBack: settled.filter((answer) => answer === "applied").length };
      }),

    livingWorkers: () => repeatable(() => workers.living()),
    beats: () => repeatable(rescue.beats),
    expireWorker: (worker) => undone(() => rescue.expire(worker)),
    takeDue: (take) => undone(() => release.takeDue(take)),
    takeUnsent: (take) => undone(() => release.takeUnsent(take)),
    takeLost: (take) => undone(() => release.takeLost(take)),
    confirmSent: (sent) => repeatable(() => release.confirmSent(sent)),
    queues: () => repeatable(release.queues),
    readyQueues: () => repeatable(release.readyQueues),
    oldestReady: () => repeatable(release.oldestReady),

    flows: flow.flows,

    breakers: () => repeatable(breakers.list),
    reportBreaker: (report) => repeatable(() => breakers.report(report)),
    probeBreaker: (name) => undone(() => breakers.probe(name)),
    releaseHeld: (request) => undone(() => breakers.release(request)),

    events: createEventLedger(database, table, again, onBatch),
    limits: createLimits({ database, table, again }),

    recordDeadLetter: (letter) => repeatable(() => deadLetters.record(letter)),
    deadLettersOf: (ids) => repeatable(() => deadLetters.countOf(ids)),
    condemn: (ids, verdict) => undone(() => deadLetters.condemn(ids, verdict)),
    findJob: (id) => repeatable(() => find(id)),
    cancel: (id, reason, by) => repeatable(() => cancel(id, reason, by)),
    control: createControlLedger({ database, table, followUps, newId, again }),
    delayed,
    schedules,
    maintainPartitions: (policy) => maintain(database.transaction, table, { ...policy, daysAhead }),
    payloads: createPayloadRecords(database, table, repeatable),
    cacheStore: () => ({
      get: (key) => repeatable(() => cache.get(key)),
      set: (key, value, ttlMs) => repeatable(() => cache.set(key, value, ttlMs)),
    }),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}
