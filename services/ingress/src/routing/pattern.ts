/** Whether a text fits a pattern in which `*` stands for any run of characters. Linear in the text: no pattern can make it backtrack. */
export function patternOf(pattern: string): (text: string) => boolean {
  const parts = pattern.split("*");
  const [first = "", ...others] = parts;
  const last = others.pop();
  if (last === undefined) return (text) => text === pattern;
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    let from = first.length;
    for (const part of others) {
      const at = text.indexOf(part, from);
      if (at === -1 || at + part.length > end) return false;
      from = at + part.length;
    }
    return true;
  };
}

/** Whether an event's type is one of those that a rule takes. No patterns: every type, and events without one. */
export function typesOf(patterns: readonly string[]): (type: string | undefined) => boolean {
  if (patterns.length === 0 || patterns.includes("*")) return () => true;
  const fits = patterns.map(patternOf);
  return (type) => type !== undefined && fits.some((one) => one(type));
}
