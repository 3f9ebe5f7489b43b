import {
  endpointChange,
  endpointRetry,
  endpointRetryAnswer,
  endpointRotation,
  endpointTest,
  endpointTestAnswer,
  endpointView,
  endpointWithSecret,
  newEndpoint,
  pageOf,
  pageQuery,
} from "@warren/contracts";
import {
  type Client,
  type CreatedEndpoint,
  deliverWebhook,
  EndpointError,
  type Endpoints,
  type OutboundDeliveries,
} from "@warren/jobs";
import { z } from "zod";
import { pageFrom, readCursor } from "./cursor.ts";
import { endpointOf } from "./outbound-views.ts";
import { type ApiRoute, answer, defineRoute, empty, json } from "./route.ts";

/** Endpoints of outbound webhooks, their deliveries, and how events come to them. */
export interface OutboundRoutesOptions {
  readonly endpoints: Endpoints;
  readonly deliveries: OutboundDeliveries;
  readonly outbound: Pick<Client, "enqueue">;
  readonly newId: () => string;
}

const tag = "endpoints";
const one = z.strictObject({ id: z.uuid() });
const unknown = { ENDPOINT_UNKNOWN: 404 } as const;
/** The process lacks what it takes to seal or to open. */
const sealing = { PAYLOAD_KEY_RING_MISSING: 503, PAYLOAD_KEY_UNKNOWN: 503, PAYLOAD_SEAL_BROKEN: 503 } as const;

const withSecret = ({ endpoint, secret }: CreatedEndpoint) => ({
  endpoint: endpointOf(endpoint),
  secret: secret.secret ?? null,
  publicKey: secret.publicKey ?? null,
});

export function endpointRoutes({ endpoints, deliveries, outbound, newId }: OutboundRoutesOptions): readonly ApiRoute[] {
  return [
    defineRoute({
      method: "get",
      path: "/endpoints",
      id: "listEndpoints",
      scope: "endpoints.read",
      tag,
      summary: "All endpoints of outbound webhooks, newest first",
      query: pageQuery,
      answers: { 200: json(pageOf(endpointView), "a page of endpoints") },
      errors: { API_CURSOR_INVALID: 400 },
      handle: async ({ query }) => {
        const before = readCursor(z.uuid(), query.cursor);
        const found = await endpoints.list({ limit: query.limit + 1, before });
        const { items, nextCursor } = pageFrom(found, query.limit, ({ id }) => id);
        return answer(200, { items: items.map(endpointOf), nextCursor });
      },
    }),
    defineRoute({
      method: "post",
      path: "/endpoints",
      id: "createEndpoint",
      scope: "endpoints.write",
      tag,
      summary: "A new endpoint",
      description: "Its secret is shown this once. What is sealed (headers, proxy, client certificate) is never shown.",
      body: newEndpoint,
      answers: { 201: json(endpointWithSecret, "made") },
      errors: { ENDPOINT_CERTIFICATE_INVALID: 422, ...sealing },
      handle: async ({ body }) => {
        const made = await endpoints.create(body);
        return answer(201, withSecret(made), { location: `/api/v1/endpoints/${made.endpoint.id}` });
      },
    }),
    defineRoute({
      method: "get",
      path: "/endpoints/{id}",
      id: "getEndpoint",
      scope: "endpoints.read",
      tag,
      summary: "One endpoint",
      params: one,
      answers: { 200: json(endpointView, "the endpoint") },
      errors: unknown,
      handle: async ({ params }) => answer(200, endpointOf(await endpoints.get(params.id))),
    }),
    defineRoute({
      method: "patch",
      path: "/endpoints/{id}",
      id: "changeEndpoint",
      scope: "endpoints.write",
      tag,
      summary: "Changes an endpoint; what is left out stays",
      description: "Deliveries that are tried later go where it says then, with the bytes that their first try sent.",
      params: one,
      body: endpointChange,
      answers: { 200: json(endpointView, "as it is now") },
      errors: { ...unknown, ENDPOINT_CHANGED: 409, ENDPOINT_CERTIFICATE_INVALID: 422, ...sealing },
      handle: async ({ params, body }) => answer(200, endpointOf(await endpoints.update(params.id, body))),
    }),
    defineRoute({
      method: "delete",
      path: "/endpoints/{id}",
      id: "deleteEndpoint",
      scope: "endpoints.write",
      tag,
      summary: "Deletes an endpoint; its deliveries and their attempts stay for their time",
      params: one,
      answers: { 204: empty("gone") },
      errors: unknown,
      handle: async ({ params }) => {
        await endpoints.remove(params.id);
        return answer(204);
      },
    }),
    defineRoute({
      method: "post",
      path: "/endpoints/{id}/disable",
      id: "disableEndpoint",
      scope: "endpoints.write",
      tag,
      summary: "Sends nothing more to an endpoint",
      description: "Deliveries that come for it fail with ENDPOINT_DISABLED; retry them when it is enabled again.",
      params: one,
      answers: { 200: json(endpointView, "as it is now") },
      errors: unknown,
      handle: async ({ params }) => answer(200, endpointOf(await endpoints.disable(params.id))),
    }),
    defineRoute({
      method: "post",
      path: "/endpoints/{id}/enable",
      id: "enableEndpoint",
      scope: "endpoints.write",
      tag,
      summary: "Sends to an endpoint again",
      params: one,
      answers: { 200: json(endpointView, "as it is now") },
      errors: unknown,
      handle: async ({ params }) => answer(200, endpointOf(await endpoints.enable(params.id))),
    }),
    defineRoute({
      method: "post",
      path: "/endpoints/{id}/rotate",
      id: "rotateEndpointSecret",
      scope: "endpoints.write",
      tag,
      summary: "A new secret, beside the ones before it for a while",
      params: one,
      body: endpointRotation,
      answers: { 200: json(endpointWithSecret, "the new secret, shown this once") },
      errors: { ...unknown, ...sealing },
      handle: async ({ params, body: { overlapSeconds, ...secret } }) =>
        answer(200, withSecret(await endpoints.rotate(params.id, secret, overlapSeconds * 1_000))),
    }),
    defineRoute({
      method: "post",
      path: "/endpoints/{id}/test",
      id: "testEndpoint",
      scope: "endpoints.write",
      tag,
      summary: "Sends an event to one endpoint, whether it wants the type or not",
      params: one,
      body: endpointTest,
      answers: { 202: json(endpointTestAnswer, "under way: GET /deliveries/{deliveryId}/attempts") },
      errors: { ...unknown, ENDPOINT_DISABLED: 409, JOB_PAYLOAD_TOO_LARGE: 413, JOB_PAYLOAD_UNSERIALISABLE: 422 },
      handle: async ({ params: { id }, body: { eventType, payload = { test: true } }, caller }) => {
        const endpoint = await endpoints.get(id);
        if (endpoint.state.kind === "disabled")
          throw new EndpointError("ENDPOINT_DISABLED", `endpoint ${id} is disabled`);
        const event = { eventType, eventId: `test_${newId()}`, createdAt: new Date().toISOString(), payload };
        const { correlationId } = caller;
        const job = await outbound.enqueue(deliverWebhook, { endpoint: id, ...event }, { correlationId });
        return answer(202, { deliveryId: job.id });
      },
    }),
    defineRoute({
      method: "post",
      path: "/endpoints/{id}/retry",
      id: "retryEndpoint",
      scope: "endpoints.write",
      tag,
      summary: "Sends again what failed at an endpoint since a moment",
      params: one,
      body: endpointRetry,
      answers: { 202: json(endpointRetryAnswer, "how many are under way") },
      errors: { ...unknown, ENDPOINT_DISABLED: 409 },
      handle: async ({ params: { id }, body: { since, limit } }) => {
        const endpoint = await endpoints.get(id);
        if (endpoint.state.kind === "disabled")
          throw new EndpointError("ENDPOINT_DISABLED", `endpoint ${id} is disabled`);
        return answer(202, { retried: await deliveries.retryFailed(id, new Date(since), limit) });
      },
    }),
  ];
}
