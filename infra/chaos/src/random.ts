/** Numbers that follow from a seed alone. */
export interface Random {
  /** From 0 up to 1. */
  next(): number;
  /** A whole number of the range, both ends included. */
  whole(from: number, to: number): number;
  pick<T>(list: readonly [T, ...T[]]): T;
  chance(share: number): boolean;
}

/** mulberry32: small, and good enough to choose faults. `stream` keeps what is drawn for one purpose apart from another's. */
export function createRandom(seed: number, stream: string): Random {
  let state = seed >>> 0;
  for (const letter of stream) state = Math.imul(state ^ (letter.codePointAt(0) ?? 0), 0x9e3779b1) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const whole = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    whole,
    pick: (list) => list[whole(0, list.length - 1)] ?? list[0],
    chance: (share) => next() < share,
  };
}
