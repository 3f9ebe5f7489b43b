import {
  dedupeSetting,
  eventQuery,
  eventReplay,
  requestDetail,
  requestPage,
  requestQuery,
  requestVerify,
  runAnswer,
  sourceNamed,
  WarrenError,
  webhookEventDetail,
  webhookEventPage,
} from "@warren/contracts";
import type { Replaying, RequestRecords, StoredRequest } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { z } from "zod";
import { readCursor, writeCursor } from "./cursor.ts";
import { detailOfEvent, detailOfRequest, filterOf, viewOfAnswer, viewOfEvent, viewOfRequest } from "./request-views.ts";
import { type ApiRoute, actorOf, answer, defineRoute, demand, empty, json } from "./route.ts";

export interface RequestRoutesOptions {
  readonly requests: RequestRecords;
  readonly replaying: Replaying;
  readonly log: Logger;
}

const byId = z.strictObject({ id: z.uuid() });
const pageErrors = { API_CURSOR_INVALID: 400, REQUEST_SEARCH_TIMEOUT: 503 } as const;
const flag = z.enum(["true", "false"]).default("false");

export function requestRoutes({ requests, replaying, log }: RequestRoutesOptions): readonly ApiRoute[] {
  async function stored(id: string): Promise<StoredRequest> {
    const found = await requests.find(id);
    if (found === undefined) throw new WarrenError("REQUEST_NOT_FOUND", `no request ${id}`);
    return found;
  }

  return [
    defineRoute({
      method: "get",
      path: "/requests",
      id: "listRequests",
      scope: "requests.read",
      tag: "requests",
      summary: "Received requests, newest first",
      description:
        "Every call that came, also rejected ones and duplicates. A search looks at a bounded number of requests: `looked` says at how many, and a page may be short or empty although `nextCursor` goes on.",
      query: requestQuery,
      answers: { 200: json(requestPage, "a page of requests") },
      errors: pageErrors,
      handle: async ({ query: { limit, cursor, status, cause, ...filter } }) => {
        const after = readCursor(z.uuid(), cursor);
        const page = await requests.search({
          filter: {
            ...filterOf(filter),
            ...(status === undefined ? {} : { statuses: status }),
            ...(cause === undefined ? {} : { causes: cause }),
          },
          limit,
          ...(after === undefined ? {} : { cursor: after }),
        });
        return answer(200, {
          items: page.requests.map((request) => viewOfRequest(request)),
          nextCursor: page.next === undefined ? null : writeCursor(page.next),
          looked: { ...page.looked },
        });
      },
    }),
    defineRoute({
      method: "get",
      path: "/requests/{id}",
      id: "getRequest",
      scope: "requests.read",
      tag: "requests",
      summary: "One request with its headers and exact bytes",
      description:
        "Secrets and signatures in headers and query are redacted unless `reveal=true`; the body is as it came.",
      params: byId,
      query: z.strictObject({ reveal: flag.describe("also secrets and signatures") }),
      answers: { 200: json(requestDetail, "the request") },
      errors: { REQUEST_NOT_FOUND: 404 },
      handle: async ({ params: { id }, query: { reveal }, caller }) => {
        const found = await stored(id);
        if (reveal === "true") {
          demand(caller, "requests.write");
          const { key, correlationId } = caller;
          log.info({ requestId: id, key, correlationId }, "the secrets of a request were shown");
        }
        return answer(200, detailOfRequest(found, reveal === "true"));
      },
    }),
    defineRoute({
      method: "get",
      path: "/requests/{id}/body",
      id: "downloadRequestBody",
      scope: "requests.read",
      tag: "requests",
      summary: "The exact bytes of a request's body",
      params: byId,
      answers: { 200: { kind: "bytes", contentType: "application/octet-stream", description: "the bytes" } },
      errors: { REQUEST_NOT_FOUND: 404, REQUEST_BODY_NOT_KEPT: 409 },
      handle: async ({ params: { id } }) => {
        const { body } = await stored(id);
        if (body === undefined)
          throw new WarrenError("REQUEST_BODY_NOT_KEPT", `the bytes of request ${id} were not kept`);
        return answer(200, body, {
          "content-disposition": `attachment; filename="${id}.bin"`,
          "x-content-type-options": "nosniff",
        });
      },
    }),
    defineRoute({
      method: "post",
      path: "/requests/{id}/verify",
      id: "verifyRequest",
      scope: "requests.write",
      tag: "requests",
      summary: "Judge a rejected request again",
      description:
        "With the source's secrets of today, as of the moment at which it came. An authentic one is accepted late, through the same dedupe and routing.",
      params: byId,
      body: requestVerify,
      answers: { 200: json(runAnswer, "what became of it") },
      errors: {
        REQUEST_NOT_FOUND: 404,
        REQUEST_NOT_REJECTED: 409,
        REQUEST_BODY_NOT_KEPT: 409,
        REQUEST_SOURCE_GONE: 409,
      },
      handle: async ({ params: { id }, body: { reason, by }, caller }) => {
        const [verified] = await replaying.verify([id], { reason, by: actorOf(by, caller) });
        if (verified?.kind === "skipped") {
          const { why } = verified;
          if (why === "not_found") throw new WarrenError("REQUEST_NOT_FOUND", `no request ${id}`);
          if (why === "not_rejected") throw new WarrenError("REQUEST_NOT_REJECTED", `request ${id} is not rejected`);
          if (why === "source_gone") throw new WarrenError("REQUEST_SOURCE_GONE", "its source cannot judge it now");
          if (why === "body_not_kept") {
            throw new WarrenError("REQUEST_BODY_NOT_KEPT", `the bytes of request ${id} were not kept`);
          }
        }
        return answer(200, viewOfAnswer(verified ?? { id, kind: "skipped", why: "not_found" }));
      },
    }),
    defineRoute({
      method: "get",
      path: "/events",
      id: "listEvents",
      scope: "requests.read",
      tag: "events",
      summary: "Accepted events, newest first, with how their jobs stand",
      query: eventQuery,
      answers: { 200: json(webhookEventPage, "a page of events") },
      errors: pageErrors,
      handle: async ({ query: { limit, cursor, state, ...filter } }) => {
        const after = readCursor(z.uuid(), cursor);
        const page = await requests.events({
          filter: { ...filterOf(filter), ...(state === undefined ? {} : { states: state }) },
          limit,
          ...(after === undefined ? {} : { cursor: after }),
        });
        return answer(200, {
          items: page.events.map(({ request, ...standing }) => viewOfEvent(request, standing)),
          nextCursor: page.next === undefined ? null : writeCursor(page.next),
          looked: { ...page.looked },
        });
      },
    }),
    defineRoute({
      method: "get",
      path: "/events/{id}",
      id: "getEvent",
      scope: "requests.read",
      tag: "events",
      summary: "One event: its request, its duplicates, its jobs, and what was done to it",
      params: byId,
      answers: { 200: json(webhookEventDetail, "the event") },
      errors: { WEBHOOK_EVENT_NOT_FOUND: 404 },
      handle: async ({ params: { id } }) => {
        const event = await requests.event(id);
        if (event === undefined) throw new WarrenError("WEBHOOK_EVENT_NOT_FOUND", `no event ${id}`);
        return answer(200, detailOfEvent(event));
      },
    }),
    defineRoute({
      method: "post",
      path: "/events/{id}/replay",
      id: "replayEvent",
      scope: "requests.write",
      tag: "events",
      summary: "Run one event again",
      params: byId,
      body: eventReplay,
      answers: { 200: json(runAnswer, "what became of it") },
      errors: { WEBHOOK_EVENT_NOT_FOUND: 404 },
      handle: async ({ params: { id }, body: { mode, reason, by }, caller }) => {
        const [done] = await replaying.run([id], { mode, reason, by: actorOf(by, caller) });
        if (done === undefined || (done.kind === "skipped" && done.why === "not_found")) {
          throw new WarrenError("WEBHOOK_EVENT_NOT_FOUND", `no event ${id}`);
        }
        return answer(200, viewOfAnswer(done));
      },
    }),
    defineRoute({
      method: "put",
      path: "/sources/{name}/dedupe",
      id: "setSourceDedupe",
      scope: "sources.write",
      tag: "sources",
      summary: "For how many days an event of a source is known again",
      params: sourceNamed,
      body: dedupeSetting,
      answers: { 204: empty("set; the dispatcher goes by it from its next sweep on") },
      handle: async ({ params: { name }, body: { days } }) => {
        await requests.setDedupeDays(name, days ?? undefined);
        return answer(204);
      },
    }),
  ];
}
