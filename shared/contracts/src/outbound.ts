import { z } from "zod";

/** The queue of everything that goes out. Its jobs are limited per endpoint, whose id is their key. */
const queue = "deliveries";

/** Type of an outbound event: `invoice.paid`, `orders/create`. Printable ASCII without spaces; words are what dots separate. */
export const outboundEventType = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/, "expected 1 to 200 printable ASCII characters without spaces");

/** Which types an endpoint wants: a type in which words may be `*` (exactly one word) or `#` (any number of words). */
export const outboundEventPattern = outboundEventType.describe(
  "a type, in which words may be `*` (exactly one word) or `#` (any number of words)",
);

/** The sender's own id of an event. */
export const outboundEventId = z
  .string()
  .min(1)
  .max(500)
  .refine((text) => /^\P{Cc}+$/u.test(text) && text.isWellFormed(), "expected text without control characters");

const event = {
  eventType: outboundEventType,
  /** The event's own id. Every try of it carries the same `webhook-id`, which is this id where it fits into a header, else its hash. */
  eventId: outboundEventId,
  /** When it happened. */
  createdAt: z.iso.datetime(),
  /** Any JSON. What of it becomes the body is the endpoint's setting. */
  payload: z.unknown(),
};

/** Payload of the job `deliver-webhook`: one event to one endpoint. Each such job is a delivery, and its id the delivery's. */
export const deliverWebhookPayload = z.object({
  /** The endpoint's id. */
  endpoint: z.uuid(),
  ...event,
  /** Tries this earlier delivery again, under its id and with the very bytes that it sent. */
  delivery: z.uuid().optional(),
});

/** Result of the job `deliver-webhook`. */
export const deliverWebhookResult = z.object({
  /** `skipped`: the delivery had succeeded before, or there is nothing left to deliver to. */
  outcome: z.enum(["delivered", "skipped"]),
  /** The endpoint's answer. */
  status: z.int().optional(),
});

/** Payload of the job `publish-webhook`: one event to every enabled endpoint that wants its type. */
export const publishWebhookPayload = z.object(event);

/** Result of the job `publish-webhook`: how many endpoints wanted it. */
export const publishWebhookResult = z.object({ endpoints: z.int() });

export type DeliverWebhookPayload = z.input<typeof deliverWebhookPayload>;
export type DeliverWebhookResult = z.infer<typeof deliverWebhookResult>;
export type PublishWebhookPayload = z.input<typeof publishWebhookPayload>;

/** Name, queue and shapes of the job: what its producers and its consumer share. */
export const deliverWebhookJob = {
  name: "deliver-webhook",
  queue,
  version: 1,
  payload: deliverWebhookPayload,
  result: deliverWebhookResult,
} as const;

/** The same of the job that fans out. */
export const publishWebhookJob = {
  name: "publish-webhook",
  queue,
  version: 1,
  payload: publishWebhookPayload,
  result: publishWebhookResult,
} as const;

/** The breaker that holds deliveries to an endpoint while it is open. */
export const endpointBreaker = (endpoint: string): string => `endpoint:${endpoint}`;

/** Type and shape of the event `warren.endpoint.disabled`. */
export const endpointDisabledEvent = {
  type: "warren.endpoint.disabled",
  version: 1,
  schema: z.object({
    endpointId: z.uuid(),
    url: z.string(),
    /** `gone`: it answered 410. `failing`: it has failed for days without a success between. */
    reason: z.enum(["gone", "failing"]),
    /** The first of the failures that no success has followed. */
    failingSince: z.iso.datetime(),
    lastFailure: z.string(),
  }),
} as const;
