import type { QueuePolicy } from "@warren/ledger";

/** A governed queue as plain data: what may be released and started, without a database, a clock or a search. */
export interface LineJob {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly priority: number;
  /** Its place in the order of due times. */
  place: number;
  state: "waiting" | "released" | "running" | "retrying" | "finished";
  /** Has run and is not finished: in a strict order its key waits for it. */
  begun: boolean;
  worker: number | undefined;
  attempt: number;
}

export interface LineModel {
  policy: QueuePolicy;
  readonly jobs: Map<string, LineJob>;
  paused: boolean;
  readonly pausedNames: Set<string>;
  readonly pausedKeys: Set<string>;
  /** Tokens left; in the test no bucket fills. */
  tokens: number;
  readonly keyTokens: Map<string, number>;
  places: number;
  next: number;
}

export const all = (model: LineModel, ...states: LineJob["state"][]): LineJob[] =>
  [...model.jobs.values()].filter((job) => states.includes(job.state));

const ofKey = (jobs: readonly LineJob[], key: string): LineJob[] => jobs.filter((job) => job.key === key);

export function isPaused(model: LineModel, job: LineJob): boolean {
  return model.paused || model.pausedNames.has(job.name) || model.pausedKeys.has(job.key);
}

const keyTokensOf = (model: LineModel, key: string): number => {
  const burst = model.policy.keyRate?.burst ?? Number.POSITIVE_INFINITY;
  return Math.min(burst, model.keyTokens.get(key) ?? burst);
};

/** In which order jobs of equal rights go: higher priority, then longer due. */
export const byOrder = (a: LineJob, b: LineJob): number => b.priority - a.priority || a.place - b.place;

/** The one job of a key that a strict order lets go next. */
function firstOfKey(model: LineModel, key: string): LineJob | undefined {
  const own = ofKey(all(model, "waiting"), key);
  return own.find((job) => job.begun) ?? own.toSorted(byOrder)[0];
}

/** The priority a job goes by: one that has begun and comes before others of its key, in a strict order, goes by the highest of them. */
export function standing(model: LineModel, job: LineJob): number {
  if (model.policy.order !== "strict" || job.key === "" || !job.begun) return job.priority;
  return Math.max(job.priority, ...ofKey(all(model, "waiting"), job.key).map(({ priority }) => priority));
}

/** Why a waiting job may not be released now by the rules of its key; `undefined` if it may. */
export function keyRefuses(model: LineModel, job: LineJob): string | undefined {
  const { key } = job;
  if (isPaused(model, job)) return "paused";
  if (key === "") return undefined;
  const { keyConcurrency = Number.POSITIVE_INFINITY, order } = model.policy;
  const released = ofKey(all(model, "released"), key);
  const busy = released.length + ofKey(all(model, "running"), key).length;
  if (busy >= keyConcurrency) return "key concurrency";
  if (released.length >= keyTokensOf(model, key)) return "key rate";
  if (order !== "strict") return undefined;
  if (busy > 0 || ofKey(all(model, "retrying"), key).some((one) => one.begun)) return "order: its key is busy";
  return firstOfKey(model, key)?.id === job.id ? undefined : "order: another one is first";
}

/** How many jobs the queue's own rules leave room for. */
export function queueRoom(model: LineModel): number {
  const { concurrency = Number.POSITIVE_INFINITY, rate } = model.policy;
  const released = all(model, "released").length;
  const busy = released + all(model, "running").length;
  const tokens = rate === undefined ? Number.POSITIVE_INFINITY : Math.min(rate.burst, model.tokens) - released;
  return Math.min(concurrency - busy, tokens);
}

/** What was released and has not started waits again, in its place. */
export function recall(model: LineModel): void {
  for (const job of all(model, "released")) {
    job.state = "waiting";
    job.attempt += 1;
    if (model.policy.order === "strict") job.begun = true;
  }
}

export function start(model: LineModel, job: LineJob, worker: number): void {
  Object.assign(job, { state: "running", worker, attempt: job.attempt + 1 });
  if (model.policy.rate !== undefined) model.tokens = Math.min(model.policy.rate.burst, model.tokens) - 1;
  if (model.policy.keyRate !== undefined && job.key !== "") {
    model.keyTokens.set(job.key, keyTokensOf(model, job.key) - 1);
  }
}

/** A running job goes back: to wait, or to wait for its time. */
export function goBack(model: LineModel, job: LineJob, state: "waiting" | "retrying"): void {
  Object.assign(job, { state, worker: undefined, begun: model.policy.order === "strict" });
  if (state === "retrying") job.place = model.next++;
}
