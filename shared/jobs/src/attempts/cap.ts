/**
 * How many handlers of one definition may run at once in this worker. Jobs beyond it wait in order: those of a queue whose definitions
 * are all capped wait as messages, where other workers can have them; those of a mixed queue are known only after their claim, and wait
 * in their slots.
 */
export interface Cap {
  /** Takes a place at once, and answers whether there was one; if not, `wait`. */
  enter(): boolean;
  /** Calls `entered` when a place is there. The answer withdraws from the line, and says whether it was still in it. */
  wait(entered: () => void): () => boolean;
  /** Gives the place back, to the first that waits. */
  leave(): void;
}

export function createCap(most: number): Cap {
  const waiting = new Set<() => void>();
  let inside = 0;
  return {
    enter() {
      if (inside >= most) return false;
      inside += 1;
      return true;
    },
    wait(entered) {
      waiting.add(entered);
      return () => waiting.delete(entered);
    },
    leave() {
      const [next] = waiting;
      if (next === undefined) {
        inside -= 1;
        return;
      }
      waiting.delete(next);
      next();
    },
  };
}
