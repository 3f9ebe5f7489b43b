import {
  type ClaimedJob,
  type EnqueueResult,
  FencedError,
  type JobError,
  type JobStart,
  LedgerDataError,
  type NewJob,
  type NewOutboxEvent,
  NotWaitingError,
  type Settled,
  type Settlement,
} from "@warren/ledger";
import { claimedOf, isFinished, type StoredJob } from "./stored-job.ts";
import { UniqueKeys } from "./unique-keys.ts";

/** A job on its way in, its id chosen. */
export interface Entry {
  readonly id: string;
  readonly job: NewJob;
}

/** Without breakers nobody lets a held job go: it is tried again so much later. As long as a real breaker stays open at least. */
const heldMs = 10_000;

/** Jobs in memory, by the rules of the ledger. Times are the fake clock's. */
export class JobStore {
  readonly jobs = new Map<string, StoredJob>();
  readonly handledEvents = new Set<string>();
  readonly outbox: NewOutboxEvent[] = [];
  /** The last progress of each job, as JSON text. */
  readonly progress = new Map<string, string>();
  /** What handlers have noted about each job. */
  readonly notes = new Map<string, readonly string[]>();
  #keyed = new Map<string, string>();
  #unique = new UniqueKeys();

  clone(): JobStore {
    const copy = new JobStore();
    for (const [id, job] of this.jobs) copy.jobs.set(id, { ...job, errors: [...job.errors] });
    for (const entry of this.handledEvents) copy.handledEvents.add(entry);
    copy.outbox.push(...this.outbox);
    copy.#keyed = new Map(this.#keyed);
    copy.#unique = this.#unique.clone();
    return copy;
  }

  enqueue(entries: readonly Entry[], now: number): readonly EnqueueResult[] {
    const unique = entries.some(({ job }) => job.unique !== undefined);
    const keyed = entries.find(({ job }) => job.key !== undefined);
    if (unique && keyed !== undefined) {
      throw new LedgerDataError(`job "${keyed.job.name}" has an id of your own: enqueue it apart from unique jobs`);
    }
    return entries.map((entry) => this.#enqueueOne(entry, now));
  }

  #enqueueOne({ id, job }: Entry, now: number): EnqueueResult {
    if (job.key !== undefined) {
      const name = JSON.stringify([job.name, job.key]);
      const known = this.jobs.get(this.#keyed.get(name) ?? "");
      if (known !== undefined) return { id: known.id, created: false, state: known.state };
      this.#keyed.set(name, id);
    }
    const meeting = this.#unique.take(id, job, now, (holder) => this.jobs.get(holder));
    if (meeting === undefined) return { id, created: true, state: this.#insert({ id, job }, now).state };
    const { holder, how } = meeting;
    if (how === "replaced" || how === "extended") replace(holder, job, how === "extended", now);
    return { id: holder.id, created: false, state: holder.state, deduplicated: how };
  }

  #insert({ id, job }: Entry, now: number): StoredJob {
    const runAt = startOf(job, now);
    const stored: StoredJob = {
      id,
      sequence: this.jobs.size,
      job,
      payload: JSON.stringify(job.payload) ?? "null",
      state: runAt > now ? "scheduled" : "ready",
      runAt,
      createdAt: now,
      claimedAt: undefined,
      finishedAt: undefined,
      workerId: undefined,
      attempt: 0,
      excused: 0,
      settled: 0,
      heldBy: undefined,
      result: undefined,
      reason: undefined,
      errors: [],
    };
    this.jobs.set(id, stored);
    return stored;
  }

  /** Claims the next job that is due: higher priorities first, then as they were due, then as they came. */
  claim(now: number, workerId: string): ClaimedJob | undefined {
    const due = [...this.jobs.values()].filter((job) => isWaiting(job) && job.runAt <= now).sort(byTurn);
    const [next] = due;
    if (next === undefined) return undefined;
    next.state = "running";
    next.attempt += 1;
    next.claimedAt = now;
    next.workerId = workerId;
    next.heldBy = undefined;
    return claimedOf(next, now);
  }

  settle({ id, attempt, workerId, outcome }: Settlement, now: number): Settled {
    const job = this.jobs.get(id);
    if (job?.state !== "running" || job.attempt !== attempt || job.workerId !== workerId) {
      return job?.settled === attempt ? "already" : "fenced";
    }
    job.settled = attempt;
    // as in the ledger: a job that is put off again and again for the same reason keeps one error
    const isRepeated =
      (outcome.kind === "held" || outcome.kind === "snoozed") && job.errors.at(-1)?.code === outcome.error?.code;
    if ("error" in outcome && outcome.error !== undefined && !isRepeated) addError(job, outcome.error, now);
    switch (outcome.kind) {
      case "succeeded":
        job.result = outcome.result === undefined ? undefined : JSON.stringify(outcome.result);
        this.#finish(job, "succeeded", undefined, now);
        break;
      case "dead":
      case "cancelled":
        this.#finish(job, outcome.kind, outcome.reason, now);
        break;
      case "retrying":
      case "snoozed":
        job.state = "retrying";
        job.runAt = now + outcome.delayMs;
        if (outcome.kind === "snoozed") job.excused += 1;
        break;
      case "held":
        job.state = "ready";
        job.heldBy = outcome.breaker;
        job.runAt = now + heldMs;
        job.excused += 1;
        break;
      case "returned":
        job.state = "ready";
        job.excused += 1;
        break;
      default:
        outcome satisfies never;
    }
    return "applied";
  }

  /** @throws FencedError */
  settleFenced(settlement: Settlement, now: number): void {
    if (this.settle(settlement, now) !== "applied") throw new FencedError(settlement.id, settlement.attempt);
  }

  #finish(job: StoredJob, state: "succeeded" | "dead" | "cancelled", reason: string | undefined, now: number): void {
    job.state = state;
    job.reason = reason;
    job.finishedAt = now;
    const owed = this.#unique.finished(job);
    if (owed !== undefined) this.#insert(owed, now);
  }

  /** @throws NotWaitingError */
  reschedule(id: string, start: JobStart, now: number): Date {
    const job = this.#waiting(id);
    job.runAt = startOf(start, now);
    return new Date(job.runAt);
  }

  /** Answers how many. */
  runAllNow(
    { queue, name }: { readonly queue?: string | undefined; readonly name?: string | undefined },
    now: number,
  ): number {
    const waiting = [...this.jobs.values()].filter(
      (job) =>
        (job.state === "scheduled" || job.state === "retrying") &&
        job.runAt > now &&
        (queue === undefined || job.job.queue === queue) &&
        (name === undefined || job.job.name === name),
    );
    for (const job of waiting) job.runAt = now;
    return waiting.length;
  }

  /** When the next job that waits is due, perhaps in the past. */
  nextDueAt(): number | undefined {
    const waiting = [...this.jobs.values()].filter(isWaiting);
    return waiting.length === 0 ? undefined : Math.min(...waiting.map(({ runAt }) => runAt));
  }

  /** What is due is ready, as after a look of the dispatcher. */
  release(now: number): void {
    for (const job of this.jobs.values()) {
      if ((job.state === "scheduled" || job.state === "retrying") && job.runAt <= now) job.state = "ready";
    }
  }

  /** @throws NotWaitingError */
  cancel(id: string, reason: string, now: number): void {
    this.#finish(this.#waiting(id), "cancelled", reason, now);
  }

  releaseUnique(name: string, key: string): boolean {
    return this.#unique.release(name, key);
  }

  #waiting(id: string): StoredJob {
    const job = this.jobs.get(id);
    if (job !== undefined && (job.state === "scheduled" || job.state === "retrying")) return job;
    throw new NotWaitingError(id, job?.state);
  }
}

const isWaiting = ({ state }: StoredJob): boolean => !isFinished(state) && state !== "running";

const startOf = ({ delayMs, runAt }: JobStart, now: number): number => runAt?.getTime() ?? now + (delayMs ?? 0);

function byTurn(left: StoredJob, right: StoredJob): number {
  const priorities = (right.job.priority ?? 0) - (left.job.priority ?? 0);
  if (priorities !== 0) return priorities;
  return left.runAt - right.runAt || left.sequence - right.sequence;
}

/** What the newer job says wins; with `restart` its time does as well. */
function replace(holder: StoredJob, job: NewJob, restart: boolean, now: number): void {
  holder.payload = JSON.stringify(job.payload) ?? "null";
  holder.job = job;
  if (!restart) return;
  holder.runAt = startOf(job, now);
  holder.state = holder.runAt > now ? "scheduled" : "ready";
}

function addError(job: StoredJob, error: JobError, now: number): void {
  job.errors.push({ ...error, attempt: job.attempt, at: new Date(now).toISOString() });
}
