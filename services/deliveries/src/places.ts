export interface PlacesOptions {
  /** Tries at once, without those that are slow. */
  readonly base: number;
  /** From when on a try is slow: it only waits for its endpoint. */
  readonly slowAfterMs: number;
  /** Slow tries that get a place of their own beside those of `base`. */
  readonly mostSlow: number;
  /** Sets how many tries there may be. */
  readonly resize: (places: number) => void;
}

/**
 * The places of tries. One that has waited for its endpoint for a while costs a socket and its body, and no work; it gives its place to the
 * next. So endpoints that hang, however many (up to `mostSlow` tries), take from the others what they use in their first moment.
 */
export interface Places {
  during<T>(work: () => Promise<T>): Promise<T>;
}

/** Workers and ledger are told in steps of this share of `base`, and not of every try. */
const step = 1 / 8;

export function createPlaces({ base, slowAfterMs, mostSlow, resize }: PlacesOptions): Places {
  const portion = Math.max(1, Math.floor(base * step));
  let slow = 0;
  let places = base;

  function count(change: 1 | -1): void {
    slow += change;
    const wanted = base + Math.min(mostSlow, Math.ceil(slow / portion) * portion);
    if (wanted === places) return;
    places = wanted;
    resize(places);
  }

  return {
    async during(work) {
      let isSlow = false;
      const timer = setTimeout(() => {
        isSlow = true;
        count(1);
      }, slowAfterMs);
      try {
        return await work();
      } finally {
        clearTimeout(timer);
        if (isSlow) count(-1);
      }
    },
  };
}
