import {
  newSource,
  pageOf,
  pageQuery,
  providerView,
  secretRotation,
  sourceName,
  sourcePatch,
  sourceTest,
  sourceTestResult,
  sourceView,
  sourceWithSecret,
  WarrenError,
} from "@warren/contracts";
import { z } from "zod";
import type { LiveSources } from "../sources/live.ts";
import { choosesSecret } from "../sources/make-secret.ts";
import type { SourceManager } from "../sources/manage.ts";
import { providerNames, providers } from "../sources/providers.ts";
import { samplers } from "../sources/samples.ts";
import { sendTestEvent, type TestEventOptions } from "../sources/test-event.ts";
import { pageFrom, readCursor } from "./cursor.ts";
import { type ApiRoute, answer, defineRoute, empty, json } from "./route.ts";

export interface SourceRoutesOptions {
  readonly manager: SourceManager;
  readonly live: Pick<LiveSources, "get" | "refresh">;
  readonly testing: TestEventOptions;
}

const named = z.strictObject({ name: sourceName });
const secretOf = named.extend({ id: z.uuid() });
const tag = "sources";
const unknown = { WEBHOOK_SOURCE_UNKNOWN: 404 } as const;
const changing = { ...unknown, SOURCE_FROM_CONFIGURATION: 409 } as const;
/** The process lacks what it takes to seal or to open. */
const sealing = { PAYLOAD_KEY_RING_MISSING: 503, PAYLOAD_KEY_UNKNOWN: 503, PAYLOAD_SEAL_BROKEN: 503 } as const;

export function sourceRoutes({ manager, live, testing }: SourceRoutesOptions): readonly ApiRoute[] {
  return [
    defineRoute({
      method: "get",
      path: "/sources",
      id: "listSources",
      scope: "sources.read",
      tag,
      summary: "All sources of webhooks by name",
      query: pageQuery,
      answers: { 200: json(pageOf(sourceView), "a page of sources") },
      errors: { API_CURSOR_INVALID: 400 },
      handle: async ({ query }) => {
        const after = readCursor(sourceName, query.cursor);
        const rest = (await manager.list()).filter(({ name }) => after === undefined || name > after);
        const page = pageFrom(rest, query.limit, ({ name }) => name);
        return answer(200, page);
      },
    }),
    defineRoute({
      method: "post",
      path: "/sources",
      id: "createSource",
      scope: "sources.write",
      tag,
      summary: "A new source",
      description:
        "It takes webhooks in this process at once, in every other within two seconds. Secrets are sealed at rest and never shown again.",
      body: newSource,
      answers: { 201: json(sourceWithSecret, "made") },
      errors: { SOURCE_NAME_TAKEN: 409, SOURCE_SECRET_REQUIRED: 400, ...sealing },
      handle: async ({ body }) => {
        const made = await manager.create(body);
        return answer(201, made, { location: `/api/v1/sources/${made.source.name}` });
      },
    }),
    defineRoute({
      method: "get",
      path: "/sources/{name}",
      id: "getSource",
      scope: "sources.read",
      tag,
      summary: "One source",
      params: named,
      answers: { 200: json(sourceView, "the source") },
      errors: unknown,
      handle: async ({ params }) => answer(200, await manager.find(params.name)),
    }),
    defineRoute({
      method: "patch",
      path: "/sources/{name}",
      id: "updateSource",
      scope: "sources.write",
      tag,
      summary: "Change, enable or disable a source",
      description: "What is left out stays; null is the provider's default again.",
      params: named,
      body: sourcePatch,
      answers: { 200: json(sourceView, "the source as it is now") },
      errors: { ...changing, ...sealing },
      handle: async ({ params, body }) => answer(200, await manager.update(params.name, body)),
    }),
    defineRoute({
      method: "delete",
      path: "/sources/{name}",
      id: "deleteSource",
      scope: "sources.write",
      tag,
      summary: "Delete a source with its secrets",
      description: "Its requests are kept. What was accepted is still known to a later source of the same name.",
      params: named,
      answers: { 204: empty("deleted") },
      errors: changing,
      handle: async ({ params }) => {
        await manager.remove(params.name);
        return answer(204);
      },
    }),
    defineRoute({
      method: "post",
      path: "/sources/{name}/secrets",
      id: "rotateSourceSecret",
      scope: "sources.write",
      tag,
      summary: "Rotate to a new secret; those before it stay good for the overlap",
      params: named,
      body: secretRotation,
      answers: { 201: json(sourceWithSecret, "the source with its new secret") },
      errors: { ...changing, ...sealing, SOURCE_SECRET_REQUIRED: 400, SOURCE_SECRETS_FULL: 409 },
      handle: async ({ params, body }) => answer(201, await manager.rotate(params.name, body)),
    }),
    defineRoute({
      method: "delete",
      path: "/sources/{name}/secrets/{id}",
      id: "revokeSourceSecret",
      scope: "sources.write",
      tag,
      summary: "Revoke a secret at once",
      params: secretOf,
      answers: { 200: json(sourceView, "the source without it") },
      errors: { ...changing, SOURCE_SECRET_UNKNOWN: 404, SOURCE_SECRET_LAST: 409 },
      handle: async ({ params }) => answer(200, await manager.revoke(params.name, params.id)),
    }),
    defineRoute({
      method: "post",
      path: "/sources/{name}/test",
      id: "testSource",
      scope: "sources.write",
      tag,
      summary: "Send a test event, signed with the source's own secret, through the real intake",
      description: "The event is real: it is kept and routed, and its jobs run.",
      params: named,
      body: sourceTest,
      answers: { 200: json(sourceTestResult, "what was sent, and what the ingress answered") },
      errors: { ...unknown, SOURCE_TEST_UNSUPPORTED: 422, WEBHOOK_SECRETS_NOT_CURRENT: 409 },
      handle: async ({ params, body }) => {
        await live.refresh();
        const source = live.get(params.name);
        if (source === undefined) {
          const { problem } = await manager.find(params.name);
          throw new WarrenError("WEBHOOK_SECRETS_NOT_CURRENT", problem ?? "the source cannot be opened");
        }
        return answer(200, await sendTestEvent(source, body, testing));
      },
    }),
    defineRoute({
      method: "get",
      path: "/providers",
      id: "listProviders",
      scope: "sources.read",
      tag,
      summary: "All kinds of senders that a source may have",
      answers: { 200: json(z.object({ items: z.array(providerView) }), "all of them") },
      handle: () => answer(200, { items: providerNames.map(providerOf) }),
    }),
  ];
}

function providerOf(name: keyof typeof providers): z.input<typeof providerView> {
  const { hasSecrets, methods, contentTypes, options } = providers[name];
  return {
    name,
    hasSecrets,
    choosesSecret: choosesSecret(name),
    testable: samplers[name] !== undefined,
    methods: [...methods],
    contentTypes: [...contentTypes],
    options: z.toJSONSchema(options, { io: "input" }),
  };
}
