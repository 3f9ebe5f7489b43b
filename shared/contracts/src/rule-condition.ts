import { z } from "zod";
import { jsonPath } from "./json-path.ts";
import { shallow } from "./shallow.ts";

const scalar = z.union([z.string().max(1_000), z.number(), z.boolean(), z.null()]);
const place = {
  /** Where to look: the body (default), the request's headers (lower-case names), or its query. */
  on: z.enum(["body", "headers", "query"]).optional(),
  path: jsonPath,
};

/** A question about the values at a path. Where a path has `*`, one value that fits is enough; for `ne` and `notIn` all must differ. */
const comparison = z.discriminatedUnion("op", [
  z.strictObject({ ...place, op: z.enum(["eq", "ne"]), value: scalar }),
  z.strictObject({ ...place, op: z.enum(["in", "notIn"]), value: z.array(scalar).min(1).max(100) }),
  /** Numbers by size, strings by code units: dates of one ISO form by time. */
  z.strictObject({
    ...place,
    op: z.enum(["gt", "gte", "lt", "lte"]),
    value: z.union([z.number(), z.string().max(1_000)]),
  }),
  /** `contains` looks into strings and arrays. `like`: `*` stands for any run of characters. */
  z.strictObject({
    ...place,
    op: z.enum(["startsWith", "endsWith", "contains", "like"]),
    value: z.string().min(1).max(1_000),
  }),
  z.strictObject({ ...place, op: z.literal("exists"), value: z.boolean() }),
  z.strictObject({
    ...place,
    op: z.literal("type"),
    value: z.enum(["string", "number", "boolean", "null", "array", "object"]),
  }),
]);

type Comparison = z.infer<typeof comparison>;

/** When a rule applies. */
export type RuleCondition =
  | Comparison
  | { readonly all: readonly RuleCondition[] }
  | { readonly any: readonly RuleCondition[] }
  | { readonly not: RuleCondition };

const condition: z.ZodType<RuleCondition> = z
  .lazy(() =>
    z.union([
      comparison,
      z.strictObject({ all: z.array(condition).min(1).max(50) }),
      z.strictObject({ any: z.array(condition).min(1).max(50) }),
      z.strictObject({ not: condition }),
    ]),
  )
  .meta({ id: "RuleCondition" });

export const ruleCondition = shallow(20, condition);
