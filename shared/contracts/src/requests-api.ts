import { z } from "zod";
import { moment, pageOf, pageQuery } from "./api.ts";
import { type BodyConditionInput, bodyCondition, parseBodyCondition } from "./body-condition.ts";
import { rejectionCause, sourceName, webhookStatus } from "./webhooks.ts";

const text = z.string().min(1).max(500);

/** How the jobs of an event stand, taken together. */
export const webhookEventState = z.enum(["dead", "unfinished", "cancelled", "forgotten", "succeeded", "unmatched"]);

const filterFields = {
  source: z.string().min(1).max(100).optional().describe("name of a source, or what stood in its place in the URL"),
  provider: text.optional(),
  type: text.optional().describe("the event's type; with * at the end, its beginning"),
  eventId: text.optional().describe("the provider's id of the event; found by index"),
  subject: text.optional().describe("what the event is about, such as an id of an object; found by index"),
  key: text.optional().describe("the dedupe key; found at once together with `source`"),
  correlationId: text.optional(),
  clientAddress: text.optional(),
  routing: z.enum(["unmatched", "failed"]).optional().describe("nothing came of it, or a rule failed on it"),
  from: moment.optional().describe("received at this moment or later"),
  before: moment.optional().describe("received before this moment"),
};

/** Which requests or events: all that is given must hold. */
export const requestFilter = z
  .strictObject({
    ...filterFields,
    ids: z.array(z.uuid()).min(1).max(1_000).optional(),
    statuses: z.array(webhookStatus).min(1).optional(),
    causes: z.array(rejectionCause).min(1).optional(),
    states: z.array(webhookEventState).min(1).optional(),
    body: z.array(bodyCondition).min(1).max(10).optional().describe("what the JSON of the body must hold"),
  })
  .meta({ id: "RequestFilter" });

const commaList = <Value extends string>(item: z.ZodType<Value>, what: string) =>
  z
    .string()
    .max(1_000)
    .transform((list, context): Value[] => {
      const parsed = z.array(item).safeParse(list.split(",").map((part) => part.trim()));
      if (parsed.success) return parsed.data;
      for (const { path, message } of parsed.error.issues) context.addIssue({ code: "custom", path, message });
      return z.NEVER;
    })
    .optional()
    .describe(`${what}, several with commas between`);

const bodyTexts = z
  .union([z.string(), z.array(z.string()).max(10)])
  .transform((given, context): BodyConditionInput[] =>
    [given].flat().flatMap((condition) => {
      const parsed = parseBodyCondition(condition);
      if (parsed !== undefined) return [parsed];
      context.addIssue({
        code: "custom",
        message: `"${condition.slice(0, 100)}" is no condition: expected such as data.object.id="pi_1", items[*].sku~ab, data.x or !data.x`,
      });
      return [];
    }),
  )
  .optional()
  .describe('a condition on the JSON of the body, such as data.object.id="pi_1"; may be repeated');

/** The query of `GET /requests`. */
export const requestQuery = pageQuery.extend({
  ...filterFields,
  status: commaList(webhookStatus, "what became of it"),
  cause: commaList(rejectionCause, "why it was rejected"),
  body: bodyTexts,
});

/** The query of `GET /events`. */
export const eventQuery = pageQuery.extend({
  ...filterFields,
  state: commaList(webhookEventState, "how its jobs stand"),
  body: bodyTexts,
});

/** What a search has looked at, so that nobody takes a short page for the whole truth. */
export const lookedView = z
  .object({
    requests: z.int().describe("requests that were looked at"),
    bodies: z.int().describe("bodies that had to be searched"),
    bodyBytes: z.int(),
    complete: z.boolean().describe("the whole range was looked through; otherwise go on with nextCursor"),
    by: z.enum(["scan", "index"]),
  })
  .meta({ id: "Looked" });

export const requestView = z
  .object({
    id: z.uuid(),
    receivedAt: moment,
    source: z.string(),
    provider: z.string().nullable(),
    status: webhookStatus,
    cause: z.string().nullable().describe("why it was rejected"),
    method: z.string(),
    path: z.string(),
    query: z.string().nullable().describe("as it stood in the request line; credentials redacted"),
    bodyBytes: z.int(),
    peerAddress: z.string().nullable(),
    clientAddress: z.string().nullable(),
    key: z.string().nullable().describe("its dedupe key"),
    eventId: z.string().nullable(),
    eventType: z.string().nullable(),
    subject: z.string().nullable(),
    correlationId: z.string(),
    routing: z.enum(["unmatched", "failed"]).nullable(),
    late: z
      .object({ at: moment, cause: z.string() })
      .nullable()
      .describe("it was rejected first and taken after all: when, and why it had been rejected"),
  })
  .meta({ id: "Request" });

export const requestPage = pageOf(requestView).extend({ looked: lookedView }).meta({ id: "RequestPage" });

export const requestDetail = requestView
  .extend({
    headers: z
      .array(z.object({ name: z.string(), value: z.string(), redacted: z.boolean() }))
      .describe("in the order and case received"),
    body: z
      .object({
        base64: z.string().nullable().describe("the exact bytes; null above 4 MiB: download them"),
        text: z.string().nullable().describe("the same, where they are UTF-8"),
      })
      .nullable()
      .describe("null: not kept, because it was too large, not whole, or came to no source"),
    event: z.uuid().nullable().describe("the event that it is or repeats"),
  })
  .meta({ id: "RequestDetail" });

const eventJobView = z
  .object({
    id: z.uuid(),
    name: z.string().nullable(),
    queue: z.string().nullable(),
    state: z.string().nullable().describe("null: past retention, so that nobody knows"),
    attempt: z.int().nullable(),
    discarded: z.boolean(),
    finishedAt: moment.nullable(),
  })
  .meta({ id: "EventJob" });

export const webhookEventView = z
  .object({
    id: z.uuid().describe("that of the request that was accepted"),
    source: z.string(),
    provider: z.string().nullable(),
    key: z.string().nullable(),
    eventId: z.string().nullable(),
    type: z.string().nullable(),
    subject: z.string().nullable(),
    receivedAt: moment,
    late: z.boolean().describe("accepted after its request had been rejected first"),
    correlationId: z.string(),
    routing: z.enum(["unmatched", "failed"]).nullable(),
    state: webhookEventState,
    jobs: z.array(eventJobView),
  })
  .meta({ id: "WebhookEvent" });

export const webhookEventPage = pageOf(webhookEventView)
  .extend({ looked: lookedView })
  .meta({ id: "WebhookEventPage" });

export const webhookEventDetail = webhookEventView
  .extend({
    request: requestView,
    routes: z.array(
      z.object({
        rule: z.string(),
        made: z.enum(["job", "delivery", "event"]).nullable(),
        id: z.string().nullable(),
        failed: z.object({ code: z.string(), message: z.string() }).nullable(),
      }),
    ),
    duplicates: z.object({
      count: z.int().describe("counted up to 1000"),
      latest: z.array(requestView),
    }),
    runs: z.array(
      z.object({
        id: z.uuid(),
        at: moment,
        kind: z.enum(["late", "missing", "new"]),
        replayId: z.uuid().nullable(),
        by: z.string(),
        reason: z.string(),
        made: z.array(z.uuid()),
        revived: z.array(z.uuid()),
      }),
    ),
  })
  .meta({ id: "WebhookEventDetail" });

export const dedupeSetting = z.strictObject({
  days: z.int().min(1).max(3_650).nullable().describe("null: as long as everybody's, WARREN_DEDUPE_DAYS"),
});

/** The name of a source in a path. */
export const sourceNamed = z.strictObject({ name: sourceName });
