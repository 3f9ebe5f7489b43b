import { z } from "zod";

const path = z.string().min(1).max(300).describe("a JSONPath of names, places and *; its $ may be left out");
const scalar = z.union([z.string().max(1_000), z.number(), z.boolean(), z.null()]);

/** What the JSON of a body must hold at a path. */
export const bodyCondition = z
  .union([
    z.strictObject({ path, equals: scalar }),
    z.strictObject({ path, contains: z.string().max(1_000).describe("part of a text, or an element of a list") }),
    z.strictObject({ path, exists: z.boolean() }),
  ])
  .meta({ id: "BodyCondition" });

export type BodyConditionInput = z.infer<typeof bodyCondition>;

const member = /^(?:[^=~[\]"']|\[(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\]]*)\])+/;

/**
 * A condition as people write it: `path=value`, `path~part`, `path` (is there), `!path` (is not). A value that is a JSON scalar is taken
 * as such (`"17"` is a text, `17` a number), anything else as the text that it is. `undefined`: not of that form.
 */
export function parseBodyCondition(written: string): BodyConditionInput | undefined {
  const negated = written.startsWith("!");
  const rest = negated ? written.slice(1) : written;
  const [at] = member.exec(rest) ?? [];
  if (at === undefined || at.length > 300) return undefined;
  const operator = rest[at.length];
  const value = rest.slice(at.length + 1);
  const where = at.trim();
  if (operator === undefined) return { path: where, exists: !negated };
  if (negated || value.length > 1_000) return undefined;
  if (operator === "=") return { path: where, equals: scalarOf(value) };
  return operator === "~" ? { path: where, contains: value } : undefined;
}

function scalarOf(written: string): z.infer<typeof scalar> {
  try {
    const value: unknown = JSON.parse(written);
    return scalar.safeParse(value).data ?? (value === null ? null : written);
  } catch {
    return written;
  }
}
