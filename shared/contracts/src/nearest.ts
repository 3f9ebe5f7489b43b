/**
 * What a misspelt word was meant to be: the candidate within a third of its length in edits (two at least, never all of it), or the one
 * that it is the beginning of; `undefined` when none is near. Case does not matter.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const given = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const wanted = candidate.toLowerCase();
    const distance = editDistance(given, wanted);
    const allowed = Math.min(Math.max(2, Math.floor(wanted.length / 3)), Math.max(given.length, wanted.length) - 1);
    const contained = given.length >= 3 && wanted.startsWith(given);
    if ((contained || distance <= allowed) && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and changes of a character that make one text the other. */
function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const substituted = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min((previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, substituted));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
