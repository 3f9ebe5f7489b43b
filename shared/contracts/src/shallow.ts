import { z } from "zod";

/**
 * Refuses what is nested deeper than `levels` objects, before anything walks it: a schema that follows itself would overflow the stack on
 * deep enough input.
 */
export function shallow<Schema extends z.ZodType>(levels: number, schema: Schema) {
  return z.preprocess((value, context) => {
    if (!isDeeper(value, levels)) return value;
    context.addIssue({ code: "custom", message: `expected at most ${levels} levels` });
    return z.NEVER;
  }, schema);
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
