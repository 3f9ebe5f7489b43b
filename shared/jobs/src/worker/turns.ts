/**
 * Whose turn it is among queues that have work: smooth weighted round robin. Each pick adds its weight to every candidate's credit,
 * takes the one with the most, and charges it the sum. So over any run in which the same queues have work each gets its share, spread
 * evenly (6:3:1 is c d c c l c d c d c, not six c in a row); a queue with nothing to do costs the others nothing (work-conserving), and one
 * of weight `w` beside others of sum `W` is picked at least once in about `W / w` picks (no starvation). Pure but for its credits.
 */
export interface Turns {
  /** The next of these queues; `undefined` when there are none. */
  pick(candidates: Iterable<string>): string | undefined;
}

const defaultWeight = 1;

export function createTurns(weights: Readonly<Record<string, number>>): Turns {
  const weightOf = new Map(Object.entries(weights));
  const credits = new Map<string, number>();
  return {
    pick(candidates) {
      let best: string | undefined;
      let bestCredit = Number.NEGATIVE_INFINITY;
      let sum = 0;
      for (const queue of candidates) {
        const weight = weightOf.get(queue) ?? defaultWeight;
        const credit = (credits.get(queue) ?? 0) + weight;
        credits.set(queue, credit);
        sum += weight;
        if (credit <= bestCredit) continue;
        best = queue;
        bestCredit = credit;
      }
      if (best !== undefined) credits.set(best, bestCredit - sum);
      return best;
    },
  };
}
