import { pageOf, pageQuery, type SourceView, sourceName, sourceView } from "@warren/contracts";
import type { Source, Sources } from "../sources/source.ts";
import { readCursor, writeCursor } from "./cursor.ts";
import { type ApiRoute, answer, defineRoute, json } from "./route.ts";

export interface SourceRoutesOptions {
  readonly sources: Sources;
}

export function sourceRoutes({ sources }: SourceRoutesOptions): readonly ApiRoute[] {
  return [
    defineRoute({
      method: "get",
      path: "/sources",
      id: "listSources",
      tag: "sources",
      summary: "All sources of webhooks by name",
      query: pageQuery,
      answers: { 200: json(pageOf(sourceView), "a page of sources") },
      errors: { API_CURSOR_INVALID: 400 },
      handle: ({ query }) => {
        const after = readCursor(sourceName, query.cursor);
        const rest = [...sources.values()]
          .filter(({ name }) => after === undefined || name > after)
          .toSorted((a, b) => (a.name < b.name ? -1 : 1));
        const items = rest.slice(0, query.limit);
        const last = items.at(-1);
        const nextCursor = last === undefined || rest.length === items.length ? null : writeCursor(last.name);
        return answer(200, { items: items.map(viewOf), nextCursor });
      },
    }),
  ];
}

function viewOf({ name, provider, methods, contentTypes, maxBodyBytes, secrets }: Source): SourceView {
  return {
    name,
    provider,
    origin: "environment",
    enabled: true,
    path: `/webhooks/${name}`,
    methods: [...methods],
    contentTypes: [...contentTypes],
    maxBodyBytes,
    secrets: secrets.map(({ notBeforeMs, notAfterMs }) => ({
      notBefore: Number.isFinite(notBeforeMs) ? new Date(notBeforeMs).toISOString() : null,
      notAfter: Number.isFinite(notAfterMs) ? new Date(notAfterMs).toISOString() : null,
    })),
  };
}
