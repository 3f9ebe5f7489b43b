import type { Deduplicated, Uniqueness } from "@warren/ledger";

/** What uniqueness promises, without a database: jobs by id, and who holds which key. */
export interface UniqueModel {
  readonly jobs: Map<string, UniqueModelJob>;
  readonly holders: Map<string, { id: string; until: "started" | "finished" }>;
}

interface UniqueModelJob {
  readonly key: string;
  state: "ready" | "running" | "retrying" | "finished";
  started: boolean;
  payload: number;
  /** What runs after it. */
  successor: number | undefined;
}

export type Wanted = Pick<Uniqueness, "key" | "until" | "onConflict">;

/** What an enqueue must answer: a new job, or the holder and what was done with it. */
export function modelEnqueue(
  model: UniqueModel,
  { key, until, onConflict }: Wanted,
  payload: number,
): { readonly created: true } | { readonly created: false; readonly id: string; readonly deduplicated: Deduplicated } {
  const holder = model.holders.get(key);
  const job = holder === undefined ? undefined : model.jobs.get(holder.id);
  const holds =
    job !== undefined &&
    job.state !== "finished" &&
    (holder?.until === "finished" || (holder !== undefined && !job.started));
  if (holder === undefined || job === undefined || !holds) {
    model.holders.set(key, { id: "", until });
    return { created: true };
  }
  const done = (deduplicated: Deduplicated) => ({ created: false, id: holder.id, deduplicated }) as const;
  if (onConflict === "ignore") return done("ignored");
  if (!job.started) {
    job.payload = payload;
    return done(onConflict === "extend" ? "extended" : "replaced");
  }
  if (onConflict !== "keep-last") return done("ignored");
  job.successor = payload;
  return done("kept");
}

/** Ends a job for good; answers the payload of the job that must follow, if one must. */
export function modelFinish(model: UniqueModel, id: string): number | undefined {
  const job = model.jobs.get(id);
  if (job === undefined) return undefined;
  job.state = "finished";
  const holds = model.holders.get(job.key)?.id === id;
  if (!holds) return undefined;
  if (job.successor === undefined) model.holders.delete(job.key);
  return job.successor;
}
