import { z } from "zod";
import { moment } from "./api.ts";
import { outboundEventId, outboundEventType } from "./outbound.ts";

/** The body of POST /outbound-events. */
export const newOutboundEvent = z.strictObject({
  eventType: outboundEventType,
  eventId: outboundEventId
    .optional()
    .describe("an event published twice under one id is delivered once; default: a new id"),
  createdAt: moment.optional().describe("when it happened; default: now"),
  payload: z.unknown().describe("any JSON"),
});

export const deliveryState = z.enum(["pending", "sending", "delivered", "failed"]);

/** One event to one endpoint, as the management API shows it. */
export const deliveryView = z
  .object({
    id: z.uuid(),
    endpointId: z.uuid(),
    eventType: outboundEventType,
    eventId: z.string(),
    webhookId: z.string().describe("the header webhook-id of every try"),
    state: deliveryState,
    reason: z.string().nullable().describe("code of the last failure"),
    attempts: z.int(),
    nextAt: moment.nullable().describe("when it is tried again"),
    createdAt: moment,
    updatedAt: moment,
    jobId: z.uuid(),
  })
  .meta({ id: "Delivery" });

/** The same with what is sent. */
export const deliveryDetail = deliveryView
  .extend({ body: z.string().describe("what every try sends") })
  .meta({ id: "DeliveryDetail" });

const headerList = z.array(z.tuple([z.string(), z.string()]));

/** One try of a delivery. */
export const attemptView = z
  .object({
    number: z.int(),
    outcome: z.enum(["sending", "delivered", "failed", "lost"]),
    reason: z.string().nullable(),
    detail: z.string().nullable(),
    startedAt: moment,
    durationMs: z.int().nullable(),
    url: z.string(),
    address: z.string().nullable().describe("the address that was connected to"),
    requestHeaders: headerList.describe("without the values of the endpoint's own headers"),
    response: z
      .object({
        status: z.int(),
        headers: headerList,
        body: z.string().describe("as UTF-8, cut off where `truncated`"),
        truncated: z.boolean(),
      })
      .nullable(),
    jobId: z.uuid(),
  })
  .meta({ id: "DeliveryAttempt" });

export type DeliveryView = z.output<typeof deliveryView>;
export type AttemptView = z.output<typeof attemptView>;
