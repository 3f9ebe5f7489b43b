import {
  attemptView,
  deliveryDetail,
  deliveryState,
  deliveryView,
  newOutboundEvent,
  outboundEventId,
  outboundEventType,
  pageOf,
  pageQuery,
} from "@warren/contracts";
import { publishWebhook } from "@warren/jobs";
import { z } from "zod";
import { pageFrom, readCursor } from "./cursor.ts";
import type { OutboundRoutesOptions } from "./endpoints.ts";
import { attemptOf, deliveryOf } from "./outbound-views.ts";
import { type ApiRoute, answer, defineRoute, json } from "./route.ts";

const tag = "deliveries";
const one = z.strictObject({ id: z.uuid() });
const unknown = { DELIVERY_UNKNOWN: 404 } as const;

const filter = pageQuery.extend({
  endpointId: z.uuid().optional(),
  state: deliveryState.optional(),
  eventType: outboundEventType.optional(),
  eventId: outboundEventId.optional(),
  since: z.iso.datetime().optional().describe("made at this moment or later"),
});

export function deliveryRoutes({ deliveries, outbound, newId }: OutboundRoutesOptions): readonly ApiRoute[] {
  return [
    defineRoute({
      method: "post",
      path: "/outbound-events",
      id: "publishOutboundEvent",
      scope: "deliveries.write",
      tag,
      summary: "Sends an event to every endpoint that wants its type",
      body: newOutboundEvent,
      answers: { 202: json(z.object({ eventId: z.string(), jobId: z.uuid() }), "under way") },
      errors: { JOB_PAYLOAD_TOO_LARGE: 413, JOB_PAYLOAD_UNSERIALISABLE: 422 },
      handle: async ({ body, caller: { correlationId } }) => {
        const { eventType, eventId = newId(), createdAt = new Date().toISOString(), payload } = body;
        const event = { eventType, eventId, createdAt, payload };
        const job = await outbound.enqueue(publishWebhook, event, { correlationId });
        return answer(202, { eventId, jobId: job.id });
      },
    }),
    defineRoute({
      method: "get",
      path: "/deliveries",
      id: "listDeliveries",
      scope: "deliveries.read",
      tag,
      summary: "Deliveries, newest first",
      description: "A delivery is listed from its first try on.",
      query: filter,
      answers: { 200: json(pageOf(deliveryView), "a page of deliveries") },
      errors: { API_CURSOR_INVALID: 400 },
      handle: async ({ query: { limit, cursor, since, ...rest } }) => {
        const from = since === undefined ? undefined : new Date(since);
        const before = readCursor(z.uuid(), cursor);
        const found = await deliveries.list({ ...rest, since: from, before }, limit + 1);
        const { items, nextCursor } = pageFrom(found, limit, ({ id }) => id);
        return answer(200, { items: items.map(deliveryOf), nextCursor });
      },
    }),
    defineRoute({
      method: "get",
      path: "/deliveries/{id}",
      id: "getDelivery",
      scope: "deliveries.read",
      tag,
      summary: "One delivery, with what is sent",
      params: one,
      answers: { 200: json(deliveryDetail, "the delivery") },
      errors: unknown,
      handle: async ({ params }) => {
        const delivery = await deliveries.get(params.id);
        return answer(200, { ...deliveryOf(delivery), body: delivery.body });
      },
    }),
    defineRoute({
      method: "get",
      path: "/deliveries/{id}/attempts",
      id: "listDeliveryAttempts",
      scope: "deliveries.read",
      tag,
      summary: "The tries of a delivery, newest first",
      params: one,
      query: pageQuery,
      answers: { 200: json(pageOf(attemptView), "a page of tries") },
      errors: { ...unknown, API_CURSOR_INVALID: 400 },
      handle: async ({ params: { id }, query: { limit, cursor } }) => {
        const before = readCursor(z.int(), cursor);
        await deliveries.get(id);
        const found = await deliveries.attempts(id, limit + 1, before);
        const { items, nextCursor } = pageFrom(found, limit, ({ number }) => number);
        return answer(200, { items: items.map(attemptOf), nextCursor });
      },
    }),
    defineRoute({
      method: "post",
      path: "/deliveries/{id}/retry",
      id: "retryDelivery",
      scope: "deliveries.write",
      tag,
      summary: "Sends a delivery again, now, under its webhook-id",
      description: "Whether it was delivered or failed. One that waits for its next try is tried at once.",
      params: one,
      answers: { 202: json(deliveryView, "as it is now") },
      errors: { ...unknown, DELIVERY_NOT_FINISHED: 409, JOB_NOT_WAITING: 409 },
      handle: async ({ params }) => answer(202, deliveryOf(await deliveries.retry(params.id))),
    }),
  ];
}
