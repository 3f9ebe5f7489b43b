import type { Environment } from "./config.ts";

export interface Misspelling {
  readonly variable: string;
  readonly meant: string;
}

/**
 * Variables that look like one of ours with a slip or two of the finger: `WARREN_SHUTDWON_TIMEOUT_MS` would else be ignored in
 * silence. Only a warning: an environment is often shared by services, and each knows only its own settings.
 */
export function misspellings(known: readonly string[], environment: Environment): readonly Misspelling[] {
  const names = new Set(known.flatMap((name) => [name, `${name}_FILE`]));
  const ours = [...names].filter((name) => name.startsWith("WARREN_"));
  return Object.keys(environment)
    .filter((variable) => variable.startsWith("WARREN_") && !names.has(variable))
    .flatMap((variable) => {
      const meant = ours.find((name) => isNear(variable, name));
      return meant === undefined ? [] : [{ variable, meant }];
    });
}

const maxEdits = 2;

/** Whether one text becomes the other with at most two insertions, deletions or changes of a character. */
function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > maxEdits) return false;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return (row[b.length] ?? maxEdits + 1) <= maxEdits;
}
