/** Jobs that share a message. */
export interface Bundle {
  readonly queue: string;
  readonly ids: readonly string[];
}

/** Bundles that wait for their turn to be published, first in, first out, bounded by the number of their jobs. */
export class Backlog {
  readonly #mostJobs: number;
  #bundles: Bundle[] = [];
  #head = 0;
  #jobs = 0;

  constructor(mostJobs: number) {
    this.#mostJobs = mostJobs;
  }

  get jobs(): number {
    return this.#jobs;
  }

  /** Answers whether there was room. */
  put(bundle: Bundle): boolean {
    if (this.#jobs + bundle.ids.length > this.#mostJobs) return false;
    this.#bundles.push(bundle);
    this.#jobs += bundle.ids.length;
    return true;
  }

  take(): Bundle | undefined {
    const bundle = this.#bundles[this.#head];
    if (bundle === undefined) return undefined;
    this.#head++;
    this.#jobs -= bundle.ids.length;
    // an array's own `shift` takes longer the longer it is
    if (this.#head === this.#bundles.length || this.#head > 4_096) {
      this.#bundles = this.#bundles.slice(this.#head);
      this.#head = 0;
    }
    return bundle;
  }

  /** Takes everything. */
  clear(): readonly Bundle[] {
    const rest = this.#bundles.slice(this.#head);
    this.#bundles = [];
    this.#head = 0;
    this.#jobs = 0;
    return rest;
  }
}
