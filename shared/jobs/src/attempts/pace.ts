/** How long handlers run, in milliseconds: moving averages, 0 before the first has ended. */
export interface Pace {
  readonly averageMs: number;
  /** Of one queue's jobs. */
  averageMsOf(queue: string): number;
  ran(queue: string, ranMs: number): void;
}

const averageWeight = 0.1;

export function createPace(): Pace {
  const ofQueue = new Map<string, number>();
  let ofAll = 0;
  return {
    get averageMs() {
      return ofAll;
    },
    averageMsOf: (queue) => ofQueue.get(queue) ?? 0,
    ran(queue, ranMs) {
      ofAll = averaged(ofAll, ranMs);
      ofQueue.set(queue, averaged(ofQueue.get(queue) ?? 0, ranMs));
    },
  };
}

function averaged(before: number, ranMs: number): number {
  return before + (ranMs - before) * (before === 0 ? 1 : averageWeight);
}
