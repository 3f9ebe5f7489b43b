/** Nothing wrong here: proves that a gate which is red for a planted tree is red because of what was planted. */
export function double(value: number): number {
  return value * 2;
}
