import { z } from "zod";
import { moment } from "./api.ts";
import { newRule } from "./rules-api.ts";
import { sourceName } from "./webhooks.ts";

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
    receivedFrom: moment.optional(),
    receivedBefore: moment.optional(),
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
