import { type Deduplicated, type KeyHolder, meet, type NewJob } from "@warren/ledger";
import { isFinished, type StoredJob } from "./stored-job.ts";

interface Key {
  jobId: string;
  until: KeyHolder["until"];
  expiresAt: number;
  /** `keep-last`: runs when the holder has finished. */
  successor: { readonly id: string; readonly job: NewJob } | undefined;
}

/** What meeting the holder of a key came to. */
export interface Meeting {
  readonly holder: StoredJob;
  readonly how: Deduplicated;
}

/** Who holds which unique key; the rules are the ledger's own `meet`. */
export class UniqueKeys {
  readonly #keys = new Map<string, Key>();

  /** Takes the key for the job, or answers what became of it instead. */
  take(id: string, job: NewJob, now: number, find: (id: string) => StoredJob | undefined): Meeting | undefined {
    const { unique } = job;
    if (unique === undefined) return undefined;
    const name = nameOf(job.name, unique.key);
    const key = this.#keys.get(name);
    const holder = key === undefined || (key.until === "expired" && key.expiresAt <= now) ? undefined : find(key.jobId);
    if (key !== undefined && holder !== undefined) {
      const how = meet(unique, { state: holder.state, started: holder.claimedAt !== undefined, until: key.until });
      if (how !== "take_over") {
        if (how === "kept") key.successor = { id, job };
        if (how === "extended" && key.until === "expired") key.expiresAt = now + (unique.forMs ?? 0);
        return { holder, how };
      }
    }
    this.#keys.set(name, {
      jobId: id,
      until: unique.forMs === undefined ? unique.until : "expired",
      expiresAt: now + (unique.forMs ?? 0),
      successor: undefined,
    });
    return undefined;
  }

  /** The job is finished for good: its key comes free, or passes on. Answers the job that is owed. */
  finished(job: StoredJob): { readonly id: string; readonly job: NewJob } | undefined {
    if (job.job.unique === undefined || !isFinished(job.state)) return undefined;
    const name = nameOf(job.job.name, job.job.unique.key);
    const key = this.#keys.get(name);
    if (key === undefined || key.jobId !== job.id) return undefined;
    const { successor } = key;
    if (successor !== undefined) {
      key.jobId = successor.id;
      key.successor = undefined;
    } else if (key.until !== "expired") this.#keys.delete(name);
    return successor;
  }

  release(name: string, key: string): boolean {
    return this.#keys.delete(nameOf(name, key));
  }

  clone(): UniqueKeys {
    const copy = new UniqueKeys();
    for (const [name, key] of this.#keys) copy.#keys.set(name, { ...key });
    return copy;
  }
}

const nameOf = (name: string, key: string): string => JSON.stringify([name, key]);
