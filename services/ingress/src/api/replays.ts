import {
  newReplay,
  replayCount,
  replayPage,
  replayQuery,
  replayTurn,
  replayView,
  WarrenError,
} from "@warren/contracts";
import type { Replay, Replaying } from "@warren/ledger";
import { z } from "zod";
import { pageFrom, readCursor } from "./cursor.ts";
import { filterOf } from "./request-views.ts";
import { type ApiRoute, actorOf, answer, defineRoute, json } from "./route.ts";

const byId = z.strictObject({ id: z.uuid() });
const turns = { pause: "paused", resume: "running", abort: "aborted" } as const;

export function replayRoutes({ replaying }: { readonly replaying: Replaying }): readonly ApiRoute[] {
  const turnRoute = (verb: keyof typeof turns): ApiRoute =>
    defineRoute({
      method: "post",
      path: `/replays/{id}/${verb}`,
      id: `${verb}Replay`,
      scope: "requests.write",
      tag: "replays",
      summary: { pause: "Take no further batch", resume: "Go on", abort: "End it; what is done stays done" }[verb],
      params: byId,
      body: replayTurn,
      answers: { 200: json(replayView, "the replay") },
      errors: { REPLAY_NOT_FOUND: 404, REPLAY_FINISHED: 409 },
      handle: async ({ params: { id }, body: { by }, caller }) => {
        const replay = found(id, await replaying.setState(id, turns[verb], actorOf(by, caller)));
        if (replay.state !== turns[verb]) throw new WarrenError("REPLAY_FINISHED", `replay ${id} is ${replay.state}`);
        return answer(200, viewOf(replay));
      },
    });

  return [
    defineRoute({
      method: "post",
      path: "/replays",
      id: "createReplay",
      scope: "requests.write",
      tag: "replays",
      summary: "Run many events again, or verify many rejected requests again",
      description:
        "Takes what has come until now and matches the filter, oldest first, at a bounded rate and behind live traffic. It survives the end of any process.",
      body: newReplay,
      answers: { 200: json(replayCount, "a dry run: how many would match now"), 201: json(replayView, "made") },
      errors: { REQUEST_SEARCH_TIMEOUT: 503 },
      handle: async ({ body: { dryRun, filter, by, most, ...order }, caller }) => {
        if (dryRun) {
          const count = await replaying.count({ action: order.action, filter: filterOf(filter) });
          return answer(200, { matched: count.matched, looked: { ...count.looked } });
        }
        const replay = await replaying.start({
          ...order,
          filter: filterOf(filter),
          by: actorOf(by, caller),
          ...(most === undefined ? {} : { most }),
        });
        return answer(201, viewOf(replay), { location: `/api/v1/replays/${replay.id}` });
      },
    }),
    defineRoute({
      method: "get",
      path: "/replays",
      id: "listReplays",
      scope: "requests.read",
      tag: "replays",
      summary: "All replays, the latest first",
      query: replayQuery,
      answers: { 200: json(replayPage, "a page of replays") },
      errors: { API_CURSOR_INVALID: 400 },
      handle: async ({ query: { limit, cursor } }) => {
        const rows = await replaying.list({ limit: limit + 1, cursor: readCursor(z.uuid(), cursor) });
        const { items, nextCursor } = pageFrom(rows, limit, ({ id }) => id);
        return answer(200, { items: items.map(viewOf), nextCursor });
      },
    }),
    defineRoute({
      method: "get",
      path: "/replays/{id}",
      id: "getReplay",
      scope: "requests.read",
      tag: "replays",
      summary: "One replay and how far it is",
      params: byId,
      answers: { 200: json(replayView, "the replay") },
      errors: { REPLAY_NOT_FOUND: 404 },
      handle: async ({ params: { id } }) => answer(200, viewOf(found(id, await replaying.find(id)))),
    }),
    turnRoute("pause"),
    turnRoute("resume"),
    turnRoute("abort"),
  ];
}

function found(id: string, replay: Replay | undefined): Replay {
  if (replay !== undefined) return replay;
  throw new WarrenError("REPLAY_NOT_FOUND", `no replay ${id}`);
}

function viewOf({ filter, examples, createdAt, finishedAt, ...replay }: Replay): z.input<typeof replayView> {
  return {
    ...replay,
    filter: { ...filter },
    examples: Object.fromEntries(Object.entries(examples).map(([why, ids]) => [why, [...ids]])),
    skips: { ...replay.skips },
    most: replay.most ?? null,
    createdAt: createdAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
    endedBy: replay.endedBy ?? null,
  };
}
