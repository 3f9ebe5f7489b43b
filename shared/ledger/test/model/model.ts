/** The ledger as plain data: what the state machine should be, without a database, a clock or a batch. */
export interface ModelJob {
  readonly id: string;
  readonly key: string | undefined;
  readonly breakers: readonly string[];
  readonly maxStalls: number;
  state: "scheduled" | "ready" | "running" | "retrying" | "succeeded" | "dead" | "cancelled";
  attempt: number;
  excused: number;
  settled: number;
  stalls: number;
  worker: string | undefined;
  heldBy: string | undefined;
  probe: boolean;
  /** Its run time has come. */
  due: boolean;
  /** Nobody has published it, and nobody has taken it for publishing lately. */
  sendable: boolean;
  /** Published and confirmed. */
  sent: boolean;
  reason: string | undefined;
  /** Somebody wants it cancelled while it runs. */
  cancelRequested: boolean;
}

interface ModelBreaker {
  state: "closed" | "open" | "half_open";
  /** Its time to retry has come. */
  retryDue: boolean;
  window: number;
}

export interface ModelClaim {
  readonly id: string;
  readonly attempt: number;
  readonly worker: string;
}

export interface Model {
  readonly jobs: Map<string, ModelJob>;
  readonly breakers: Map<string, ModelBreaker>;
  /** Slot → id of the worker that lives in it. */
  readonly workers: string[];
  readonly ended: Set<string>;
  /** Every claim ever answered: what a worker, living or fenced, may try to settle. */
  readonly claims: ModelClaim[];
}

export const unfinished = (job: ModelJob): boolean => ["scheduled", "ready", "running", "retrying"].includes(job.state);

/** The breaker that a claim of the job would find closed to it. */
function blockedBy(model: Model, job: ModelJob): string | undefined {
  return [...job.breakers].sort().find((name) => {
    const state = model.breakers.get(name)?.state;
    return state === "open" || (state === "half_open" && !job.probe);
  });
}

export function backToReady(job: ModelJob, sendable: boolean): void {
  Object.assign(job, { state: "ready", worker: undefined, sent: false, sendable });
}

/** The only way a job may become running. */
export function modelClaim(model: Model, worker: string, ids: readonly string[]): readonly ModelClaim[] {
  const claimed: ModelClaim[] = [];
  for (const id of new Set(ids)) {
    const job = model.jobs.get(id);
    if (job === undefined || job.state !== "ready" || job.heldBy !== undefined) continue;
    job.attempt += 1;
    const blocked = blockedBy(model, job);
    if (blocked !== undefined) {
      Object.assign(job, { heldBy: blocked, probe: false, sent: false, excused: job.excused + 1 });
      continue;
    }
    Object.assign(job, { state: "running", worker });
    claimed.push({ id, attempt: job.attempt, worker });
  }
  return claimed;
}

export type ModelOutcome = "succeeded" | "retrying" | "dead" | "cancelled" | "snoozed" | "held" | "returned";

export function modelSettle(
  model: Model,
  claim: ModelClaim,
  outcome: ModelOutcome,
  { breaker, due }: { readonly breaker: string; readonly due: boolean },
): "applied" | "already" | "fenced" {
  const job = model.jobs.get(claim.id);
  if (job === undefined) return "fenced";
  if (job.state !== "running" || job.attempt !== claim.attempt || job.worker !== claim.worker) {
    const isOwnEnd = unfinished(job) || job.worker === claim.worker;
    return job.settled === claim.attempt && isOwnEnd ? "already" : "fenced";
  }
  job.settled = job.attempt;
  const wasProbe = job.probe;
  if (job.cancelRequested && outcome !== "succeeded") {
    Object.assign(job, { state: "cancelled", reason: "ASKED" });
    return "applied";
  }
  if (outcome === "succeeded" || outcome === "dead" || outcome === "cancelled") {
    job.state = outcome;
    job.reason = outcome === "succeeded" ? undefined : "TEST";
    if (wasProbe && outcome === "succeeded") {
      for (const name of job.breakers) {
        const state = model.breakers.get(name);
        if (state?.state === "half_open") Object.assign(state, { state: "closed", retryDue: false, window: 1 });
      }
    }
    return "applied";
  }
  if (outcome !== "retrying") job.excused += 1;
  backToReady(job, true);
  job.probe = wasProbe && outcome === "returned";
  if (outcome === "retrying" || outcome === "snoozed") Object.assign(job, { state: "retrying", due });
  if (outcome === "held") {
    job.heldBy = breaker;
    const known = model.breakers.get(breaker);
    if (known === undefined) model.breakers.set(breaker, { state: "open", retryDue: false, window: 1 });
    else if (known.state === "half_open" && wasProbe)
      Object.assign(known, { state: "open", retryDue: false, window: 1 });
    else if (known.state === "closed") known.window = 1;
  }
  return "applied";
}

interface ModelEnding {
  readonly back: string[];
  readonly dead: string[];
  readonly cancelled: string[];
}

/** A worker's lease is over: its jobs go back, or are dead when it was lost once too often. */
export function modelEnd(model: Model, slot: number, how: "retired" | "expired"): ModelEnding {
  const worker = model.workers[slot];
  const back: string[] = [];
  const dead: string[] = [];
  const cancelled: string[] = [];
  for (const job of model.jobs.values()) {
    if (job.state !== "running" || job.worker !== worker) continue;
    if (how === "expired") job.stalls += 1;
    if (job.cancelRequested) {
      if (how === "expired") cancelled.push(job.id);
      Object.assign(job, { state: "cancelled", reason: "ASKED" });
      continue;
    }
    if (job.stalls > job.maxStalls) {
      Object.assign(job, { state: "dead", reason: "JOB_STALLED" });
      dead.push(job.id);
      continue;
    }
    job.excused += 1;
    backToReady(job, how === "retired");
    back.push(job.id);
  }
  if (worker !== undefined) model.ended.add(worker);
  return { back: back.sort(), dead: dead.sort(), cancelled: cancelled.sort() };
}
