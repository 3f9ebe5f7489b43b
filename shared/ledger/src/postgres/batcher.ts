/** Collects concurrent calls into batches that share one statement: group commit. */
export interface Batcher<Item, Result> {
  /** Resolves with the item's own result once the batch that carried it is done. */
  add(item: Item): Promise<Result>;
  /** Items that wait for a batch, not counting those under way. */
  readonly waiting: number;
}

export interface BatcherOptions<Item, Result> {
  /** For metrics and logs. */
  readonly name: string;
  /** The most weight of one batch. An item heavier than this travels alone. Default 500. */
  readonly maxItems?: number;
  /** Batches under way at once; what arrives meanwhile forms the next one. Default 2. */
  readonly maxInFlight?: number;
  /**
   * The least weight that starts a batch beside one that is under way; less than this waits for it. Default 1: latency first. More makes
   * fewer and fuller statements, where the fixed cost of each counts.
   */
  readonly worthOverlapping?: number;
  /** Rows an item stands for. Default 1. */
  readonly weigh?: (item: Item) => number;
  /** One result an item, in the same order. */
  readonly run: (items: readonly Item[]) => Promise<readonly Result[]>;
  /**
   * Whether a failed batch may have failed because of one item: then it is halved and run again until the items to blame fail
   * alone. Must be true only of errors after which nothing of the batch was kept. Default: never.
   */
  readonly splitOn?: (error: unknown) => boolean;
  /** Called after each statement, with its weight and how long it took. */
  readonly onBatch?: OnBatch | undefined;
}

/** Hears of each statement: the batcher's name, the weight it carried, and how long it took. */
export type OnBatch = (batch: { readonly name: string; readonly size: number; readonly durationMs: number }) => void;

/** Fewer than this are not worth two statements. */
const worthSharing = 16;

interface Entry<Item, Result> {
  readonly item: Item;
  readonly weight: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit without a timer: a lone call starts at once; while `maxInFlight` batches are under way, calls pile up and the
 * next batch takes them together. Measured against a 2 ms timer: 1.3 times the rate, and no added latency at rest.
 * Calls of one turn of the event loop share a batch, because a batch starts at the turn's end. A crowd that finds several places free is
 * shared among them: callers who all wait for one batch would come back all at once, and the database and this process would take turns.
 */
export function createBatcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  const { name, maxItems = 500, maxInFlight = 2, worthOverlapping = 1 } = options;
  const { weigh = () => 1, splitOn = () => false, onBatch } = options;
  let queue: Entry<Item, Result>[] = [];
  let queuedWeight = 0;
  let inFlight = 0;
  let scheduled = false;

  function mayStart(): boolean {
    if (inFlight >= maxInFlight || queue.length === 0) return false;
    return inFlight === 0 || queuedWeight >= worthOverlapping;
  }

  function schedule(): void {
    if (scheduled || !mayStart()) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      while (mayStart()) void fly(take());
    });
  }

  /** Batches among which what waits is shared: as many as find a place, unless they would be too small. */
  function shares(): number {
    if (queue.length < worthSharing) return 1;
    return Math.max(1, Math.min(maxInFlight - inFlight, Math.floor(queuedWeight / worthOverlapping)));
  }

  function take(): Entry<Item, Result>[] {
    const most = Math.ceil(queue.length / shares());
    let weight = 0;
    let count = 0;
    for (const entry of queue) {
      if (count === most || (count > 0 && weight + entry.weight > maxItems)) break;
      weight += entry.weight;
      count += 1;
    }
    const batch = queue.slice(0, count);
    queue = queue.slice(count);
    queuedWeight -= weight;
    return batch;
  }

  /** Never rejects: every entry is told its own fate. */
  async function fly(batch: readonly Entry<Item, Result>[]): Promise<void> {
    inFlight += 1;
    try {
      await settle(batch);
    } finally {
      inFlight -= 1;
      schedule();
    }
  }

  async function settle(batch: readonly Entry<Item, Result>[]): Promise<void> {
    let results: readonly Result[];
    try {
      results = await runOnce(batch);
    } catch (error) {
      if (batch.length > 1 && splitOn(error)) {
        const middle = Math.ceil(batch.length / 2);
        await settle(batch.slice(0, middle));
        await settle(batch.slice(middle));
        return;
      }
      for (const entry of batch) entry.reject(error);
      return;
    }
    for (const [index, entry] of batch.entries()) entry.resolve(results[index] as Result);
  }

  async function runOnce(batch: readonly Entry<Item, Result>[]): Promise<readonly Result[]> {
    const startedAt = performance.now();
    try {
      const results = await options.run(batch.map(({ item }) => item));
      if (results.length !== batch.length) {
        throw new RangeError(`batch "${name}" of ${batch.length} items answered ${results.length} results`);
      }
      return results;
    } finally {
      const size = batch.reduce((sum, { weight }) => sum + weight, 0);
      onBatch?.({ name, size, durationMs: performance.now() - startedAt });
    }
  }

  return {
    add: (item) =>
      new Promise<Result>((resolve, reject) => {
        const weight = weigh(item);
        queue.push({ item, weight, resolve, reject });
        queuedWeight += weight;
        schedule();
      }),
    get waiting() {
      return queue.length;
    },
  };
}
