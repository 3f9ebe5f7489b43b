import { z } from "zod";
import { moment } from "./api.ts";
import { eventType } from "./event-message.ts";
import { jsonPath } from "./json-path.ts";
import { outboundEventType } from "./outbound.ts";
import { ruleCondition } from "./rule-condition.ts";
import { shallow } from "./shallow.ts";
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
    createdAt: moment,
    updatedAt: moment,
  })
  .meta({ id: "Rule" });

export type NewRule = z.output<typeof newRule>;
export type RuleChange = z.output<typeof ruleChange>;
export type Rule = z.output<typeof rule>;
export type RuleTarget = z.output<typeof ruleTarget>;
export type RuleTransform = z.output<typeof ruleTransform>;
