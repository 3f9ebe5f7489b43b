/** The places in which a worker runs jobs: never more handlers than places. */
export interface Slots {
  readonly size: number;
  readonly taken: number;
  /** Never negative, also while more are taken than a smaller size allows. */
  readonly free: number;
  /** Takes up to `wanted` free places; answers how many. */
  take(wanted: number): number;
  /** For how long no place has been free or become free; 0 while one is. */
  readonly stuckMs: number;
  /** Gives places back. @throws RangeError when more are given back than were taken: a counting mistake must not hide. */
  give(count: number): void;
  /** From now on there are so many. What is taken beyond them runs to its end, and nothing new starts meanwhile. */
  resize(size: number): void;
}

export interface SlotsHooks {
  /** Places became free. */
  readonly freed: () => void;
  /** The number of free places may have changed. */
  readonly changed: () => void;
}

export function createSlots(initial: number, { freed, changed }: SlotsHooks): Slots {
  let size = initial;
  let taken = 0;
  let movedAt = performance.now();
  const free = (): number => Math.max(0, size - taken);
  return {
    get size() {
      return size;
    },
    get taken() {
      return taken;
    },
    get stuckMs() {
      return taken < size ? 0 : performance.now() - movedAt;
    },
    get free() {
      return free();
    },
    take(wanted) {
      const got = Math.max(0, Math.min(wanted, free()));
      if (got === 0) return 0;
      taken += got;
      movedAt = performance.now();
      changed();
      return got;
    },
    give(count) {
      if (count > taken) throw new RangeError(`${count} slots given back, ${taken} taken`);
      if (count <= 0) return;
      taken -= count;
      movedAt = performance.now();
      changed();
      freed();
    },
    resize(next) {
      const grows = next > size;
      size = next;
      changed();
      if (grows) freed();
    },
  };
}
