/** The places in which a worker runs jobs: never more handlers than places. */
export interface Slots {
  readonly size: number;
  readonly free: number;
  /** Takes up to `wanted` free places; answers how many. */
  take(wanted: number): number;
  /** For how long no place has been free or become free; 0 while one is. */
  readonly stuckMs: number;
  /** Gives places back. @throws RangeError when more are given back than were taken: a counting mistake must not hide. */
  give(count: number): void;
}

/** `onFree` is called each time places become free. */
export function createSlots(size: number, onFree: () => void): Slots {
  let taken = 0;
  let movedAt = performance.now();
  return {
    size,
    get stuckMs() {
      return taken < size ? 0 : performance.now() - movedAt;
    },
    get free() {
      return size - taken;
    },
    take(wanted) {
      const got = Math.max(0, Math.min(wanted, size - taken));
      taken += got;
      if (got > 0) movedAt = performance.now();
      return got;
    },
    give(count) {
      if (count > taken) throw new RangeError(`${count} slots given back, ${taken} taken`);
      if (count <= 0) return;
      taken -= count;
      movedAt = performance.now();
      onFree();
    },
  };
}
