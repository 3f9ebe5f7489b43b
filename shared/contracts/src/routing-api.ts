import { z } from "zod";
import { eventType } from "./event-message.ts";
import { jsonPath } from "./json-path.ts";
import { outboundEventType } from "./outbound.ts";
import { sourceName } from "./webhooks.ts";

/** Name of a rule: in reports, logs and metric labels. */
export const ruleName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,99}$/,
    "expected 1 to 100 lower-case letters, digits, dots, dashes or underscores, beginning with a letter or digit",
  );

/** Types of a provider's events that a rule takes: `*` stands for any run of characters, as in `invoice.*`. */
export const typePattern = z.string().min(1).max(200);

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

/**
 * Refuses what is nested deeper than `levels` objects, before anything walks it: a schema that follows itself would overflow the stack on
 * deep enough input.
 */
function shallow<Schema extends z.ZodType>(levels: number, schema: Schema) {
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

export const ruleCondition = shallow(20, condition);

/** JavaScript that makes the payload, in a sandbox without network, files, timers or memory of other events. */
export const ruleTransform = z.strictObject({
  /** Defines `function transform(event)`; what it returns is the payload, and `null` or nothing makes nothing. */
  code: z.string().min(1).max(65_536),
  /** The most time that it may take, in milliseconds. */
  timeoutMs: z.int().min(1).max(1_000).default(100),
  /** The most memory that it may take, in MiB. */
  memoryMb: z.int().min(1).max(64).default(16),
});

const queueName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,99}$/i, "expected 1 to 100 letters, digits, dashes or underscores");
const jobName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    "expected 1 to 100 letters, digits, dots, dashes or underscores, beginning with a letter or digit",
  );

/** What a rule makes of an event that it takes. */
export const ruleTarget = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("job"),
    /** Name of the job. */
    job: jobName,
    /** For jobs that the ingress does not know: their queue, version and attempts. Refused for those that it knows. */
    queue: queueName.optional(),
    version: z.int().min(1).max(1_000_000).optional(),
    attempts: z.int().min(1).max(1_000).optional(),
    /** Path of what order, limits and fairness of the queue go by. */
    key: jsonPath.optional(),
    /** One job of the same work at a time; `by`: paths of what counts as the same. */
    unique: z
      .strictObject({
        by: z.array(jsonPath).min(1).max(10),
        until: z.enum(["started", "finished"]).optional(),
        forMs: z.int().min(1).max(31_622_400_000).optional(),
        onConflict: z.enum(["ignore", "replace", "extend", "keep-last"]).optional(),
      })
      .optional(),
    delayMs: z.int().min(0).max(31_622_400_000).optional(),
    priority: z.int().min(0).max(1_000).optional(),
  }),
  z.strictObject({
    kind: z.literal("event"),
    /** Type of the event on the broker. Default `webhooks.<source>.<type>`. */
    type: eventType.optional(),
    /** Path of what the event is about. */
    subject: jsonPath.optional(),
    /** Path of the key whose events keep their order. */
    orderingKey: jsonPath.optional(),
  }),
  z.strictObject({
    kind: z.literal("delivery"),
    /** The endpoint's id. Default: every endpoint that wants the type. */
    endpoint: z.uuid().optional(),
    /** Type of the outbound event. Default: the type that the provider gave. */
    eventType: outboundEventType.optional(),
  }),
]);

const ruleFields = {
  name: ruleName,
  enabled: z.boolean(),
  /** Events of this source only; `null`: of every source. */
  source: sourceName.nullable(),
  /** Events of these types only; none: of every type. */
  types: z.array(typePattern).max(100),
  /**
   * For webhooks that carry several events: a path of them. The rule takes each as a body of its own, in its condition, payload, transform
   * and keys; up to 1,000, all or none.
   */
  each: jsonPath.nullable(),
  /** Events that fit this condition only. */
  when: ruleCondition.nullable(),
  /** What to do with an event whose condition cannot be judged: `route` it as if it fitted, or `skip` it. It is marked either way. */
  onFilterError: z.enum(["route", "skip"]),
  transform: ruleTransform.nullable(),
  /** The payload as JSON, in which `{ "$path": "$.data.id" }` stands for a value of the body; `null`: the body as it came. */
  payload: shallow(32, z.unknown()).nullable(),
  to: ruleTarget,
};

const oneMaker = (rule: { readonly transform?: unknown; readonly payload?: unknown }): boolean =>
  (rule.transform ?? null) === null || (rule.payload ?? null) === null;
const oneMakerOnly = { message: 'give "transform" or "payload", not both', path: ["payload"] };

/** A new rule. */
export const newRule = z
  .strictObject({
    ...ruleFields,
    enabled: ruleFields.enabled.default(true),
    source: ruleFields.source.default(null),
    types: ruleFields.types.default([]),
    each: ruleFields.each.default(null),
    when: ruleFields.when.default(null),
    onFilterError: ruleFields.onFilterError.default("route"),
    transform: ruleFields.transform.default(null),
    payload: ruleFields.payload.default(null),
  })
  .refine(oneMaker, oneMakerOnly);

/** What to change of a rule; what is left out stays. */
export const ruleChange = z.strictObject({
  ...z.strictObject(ruleFields).partial().shape,
  /** Change it only if this is still its revision. */
  revision: z.int().min(1).optional(),
});

/** A rule as it is kept. */
export const rule = z
  .object({
    id: z.uuid(),
    ...ruleFields,
    /** Grows with each change. */
    revision: z.int(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: "Rule" });

export type NewRule = z.output<typeof newRule>;
export type RuleChange = z.output<typeof ruleChange>;
export type Rule = z.output<typeof rule>;
export type RuleTarget = z.output<typeof ruleTarget>;
export type RuleTransform = z.output<typeof ruleTransform>;

/** Why a rule made nothing of an event, or made it though its condition could not be judged. */
const routeFailure = z.object({ code: z.string(), message: z.string() }).meta({ id: "RouteFailure" });

/** What would come of an event: a stored one, or one that is given. */
export const ruleTest = z
  .strictObject({
    /** A rule that is not kept yet. */
    rule: newRule.optional(),
    /** A rule that is kept, enabled or not. Without either: all enabled rules, those in code too. */
    ruleId: z.uuid().optional(),
    /** A stored request that was accepted. */
    requestId: z.uuid().optional(),
    event: z
      .strictObject({
        source: sourceName,
        /** Default: that of the source. */
        provider: z.string().max(100).optional(),
        id: z.string().max(500).optional(),
        type: z.string().max(500).optional(),
        /** JSON, as the provider would send it. */
        body: z.unknown(),
        headers: z.record(z.string().max(200), z.string().max(10_000)).optional(),
        /** As in an address: `a=1&b=2`. */
        query: z.string().max(10_000).optional(),
      })
      .optional(),
  })
  .refine(({ rule: given, ruleId }) => given === undefined || ruleId === undefined, {
    message: 'give "rule" or "ruleId", not both',
    path: ["ruleId"],
  })
  .refine(({ requestId, event }) => (requestId === undefined) !== (event === undefined), {
    message: 'give "requestId" or "event", one of them',
    path: ["requestId"],
  });

const wouldMake = z
  .discriminatedUnion("kind", [
    z.object({
      kind: z.enum(["job", "delivery"]),
      job: z.string(),
      queue: z.string(),
      version: z.int(),
      attempts: z.int(),
      key: z.string().nullable(),
      uniqueKey: z.string().nullable(),
      delayMs: z.number().nullable(),
      priority: z.int(),
      payload: z.unknown(),
    }),
    z.object({
      kind: z.literal("event"),
      type: z.string(),
      subject: z.string().nullable(),
      orderingKey: z.string().nullable(),
      data: z.unknown(),
    }),
  ])
  .meta({ id: "RouteOutput" });

/** What each rule would do; nothing of it is done. */
export const ruleTestAnswer = z.object({
  results: z.array(
    z.object({
      /** Rules in code are called `code/<name>`. */
      rule: z.string(),
      /** Whether it takes events of this source and type. */
      takes: z.boolean(),
      /** `null`: it has no condition, or did not come to it. */
      filter: z.object({ outcome: z.enum(["fits", "unfit", "failed"]), why: z.string().nullable() }).nullable(),
      transform: z
        .object({
          /** `null`: it made nothing, or failed. */
          output: z.unknown(),
          logs: z.array(z.string()),
          durationMs: z.number(),
        })
        .nullable(),
      would: z.array(wouldMake),
      failed: routeFailure.nullable(),
    }),
  ),
});

/** Which events to route again: by id, or by marker. */
export const reroute = z
  .strictObject({
    requestIds: z.array(z.uuid()).min(1).max(100).optional(),
    routing: z.enum(["unmatched", "failed"]).optional(),
    source: sourceName.optional(),
    receivedFrom: z.iso.datetime().optional(),
    receivedBefore: z.iso.datetime().optional(),
    limit: z.int().min(1).max(100).default(50),
    /** `nextCursor` of the call before. */
    cursor: z.string().min(1).max(500).optional(),
    /**
     * Runs rules that have made something of the event before as well: **new jobs, events and deliveries** beside those that there are.
     * Default: only those that have not.
     */
    anew: z.boolean().default(false),
  })
  .refine(({ requestIds, routing }) => (requestIds === undefined) !== (routing === undefined), {
    message: 'give "requestIds" or "routing", one of them',
    path: ["requestIds"],
  });

export const rerouteAnswer = z.object({
  items: z.array(
    z.object({
      requestId: z.uuid(),
      /** What it is marked with now; `null`: every rule did its work. */
      routing: z.enum(["unmatched", "failed"]).nullable(),
      /** What this call made, and the failures that there are now. */
      routes: z.array(
        z.object({
          rule: z.string(),
          made: z.enum(["job", "delivery", "event"]).nullable(),
          id: z.string().nullable(),
          failed: routeFailure.nullable(),
        }),
      ),
      /** Why this one was not routed; the others were. */
      refused: routeFailure.nullable(),
    }),
  ),
  nextCursor: z.string().nullable(),
});

export type RuleTest = z.output<typeof ruleTest>;
export type RuleTestAnswer = z.input<typeof ruleTestAnswer>;
export type RerouteAnswer = z.input<typeof rerouteAnswer>;
