import type { ClaimedJob, JobRecord, JobState, NewJob, RecordedError } from "@warren/ledger";

/** A job in memory: what the ledger's row holds. */
export interface StoredJob {
  readonly id: string;
  readonly sequence: number;
  job: NewJob;
  /** As JSON text, so that handlers get what came through JSON and nobody shares objects. */
  payload: string;
  state: JobState;
  runAt: number;
  readonly createdAt: number;
  claimedAt: number | undefined;
  finishedAt: number | undefined;
  workerId: string | undefined;
  /** The fence. */
  attempt: number;
  excused: number;
  /** The attempt that was settled last. */
  settled: number;
  heldBy: string | undefined;
  result: string | undefined;
  reason: string | undefined;
  errors: RecordedError[];
}

export const isFinished = (state: JobState): boolean =>
  state === "succeeded" || state === "dead" || state === "cancelled";

const instant = (at: number | undefined): Date | undefined => (at === undefined ? undefined : new Date(at));

/** What a worker gets of it. */
export function claimedOf(stored: StoredJob, claimedAt: number): ClaimedJob {
  const { job } = stored;
  return {
    id: stored.id,
    queue: job.queue,
    name: job.name,
    version: job.version,
    payload: JSON.parse(stored.payload) as unknown,
    attempt: stored.attempt,
    excused: stored.excused,
    maxAttempts: job.maxAttempts,
    stalls: 0,
    correlationId: job.correlationId,
    trace: job.trace,
    key: job.key,
    rare: {
      ...(job.limitKey === undefined ? {} : { limitKey: job.limitKey }),
      ...(job.unique === undefined ? {} : { uniqueKey: job.unique.key, linked: true }),
      ...(job.payloadForm === undefined ? {} : { payloadForm: job.payloadForm }),
      ...(job.attributes === undefined ? {} : { attributes: job.attributes }),
    },
    breakers: job.breakers ?? [],
    probe: false,
    runAt: new Date(stored.runAt),
    createdAt: new Date(stored.createdAt),
    claimedAt: new Date(claimedAt),
    waitMs: Math.max(0, claimedAt - stored.runAt),
    durable: true,
  };
}

/** Everything about it, as `ledger.findJob` answers. */
export function recordOf(stored: StoredJob): JobRecord {
  const { job } = stored;
  return {
    id: stored.id,
    queue: job.queue,
    name: job.name,
    version: job.version,
    state: stored.state,
    payload: JSON.parse(stored.payload) as unknown,
    result: stored.result === undefined ? undefined : (JSON.parse(stored.result) as unknown),
    reason: stored.reason,
    errors: [...stored.errors],
    attempt: stored.attempt,
    excused: stored.excused,
    maxAttempts: job.maxAttempts,
    stalls: 0,
    maxStalls: job.maxStalls,
    priority: job.priority ?? 0,
    key: job.key,
    correlationId: job.correlationId,
    trace: job.trace,
    workerId: stored.workerId,
    heldBy: stored.heldBy,
    limitKey: job.limitKey,
    flowId: undefined,
    uniqueKey: job.unique?.key,
    schedule: undefined,
    payloadForm: job.payloadForm,
    attributes: job.attributes,
    cancelRequestedAt: undefined,
    cancelReason: stored.state === "cancelled" ? stored.reason : undefined,
    cancelledBy: undefined,
    createdAt: new Date(stored.createdAt),
    runAt: new Date(stored.runAt),
    claimedAt: instant(stored.claimedAt),
    finishedAt: instant(stored.finishedAt),
  };
}
