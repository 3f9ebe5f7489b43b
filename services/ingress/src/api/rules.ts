import {
  newRule,
  pageOf,
  pageQuery,
  type RerouteAnswer,
  rerouteAnswer,
  reroute as rerouteBody,
  rule,
  ruleChange,
  ruleName,
  ruleTest,
  ruleTestAnswer,
  WarrenError,
} from "@warren/contracts";
import type { MarkedFilter } from "@warren/ledger";
import { z } from "zod";
import type { DryRun } from "../routing/dry-run.ts";
import type { Reroute, RerouteResult } from "../routing/reroute.ts";
import type { RuleService } from "../routing/rules/service.ts";
import { pageFrom, readCursor, writeCursor } from "./cursor.ts";
import { type ApiRoute, answer, defineRoute, empty, json } from "./route.ts";

export interface RuleRoutesOptions {
  readonly routing: {
    readonly rules: RuleService;
    readonly dryRun: DryRun;
    readonly reroute: Reroute;
    readonly marked: (filter: MarkedFilter) => Promise<readonly string[]>;
  };
}

const ruleParams = z.strictObject({ id: z.uuid() });
const tag = "routing";
const checked = { ROUTE_RULE_INVALID: 400, ROUTE_TRANSFORM_INVALID: 400 } as const;

export function ruleRoutes({ routing: { rules, dryRun, reroute, marked } }: RuleRoutesOptions): readonly ApiRoute[] {
  return [
    defineRoute({
      method: "get",
      path: "/rules",
      id: "listRules",
      scope: "rules.read",
      tag,
      summary: "All routing rules by name",
      description: "Rules in code are not among them; POST /rules/test shows what they would do.",
      query: pageQuery,
      answers: { 200: json(pageOf(rule), "a page of rules") },
      errors: { API_CURSOR_INVALID: 400 },
      handle: async ({ query: { limit, cursor } }) => {
        const found = await rules.list({ limit: limit + 1, afterName: readCursor(ruleName, cursor) });
        const page = pageFrom(found, limit, ({ name }) => name);
        return answer(200, page);
      },
    }),
    defineRoute({
      method: "post",
      path: "/rules",
      id: "createRule",
      scope: "rules.write",
      tag,
      summary: "A new routing rule",
      description: "Every process routes by it within about a second.",
      body: newRule,
      answers: { 201: json(rule, "the rule") },
      errors: { ...checked, ROUTE_RULE_NAME_TAKEN: 409, ROUTE_RULES_LIMIT: 409 },
      handle: async ({ body }) => answer(201, await rules.create(body)),
    }),
    defineRoute({
      method: "get",
      path: "/rules/{id}",
      id: "getRule",
      scope: "rules.read",
      tag,
      summary: "One routing rule",
      params: ruleParams,
      answers: { 200: json(rule, "the rule") },
      errors: { ROUTE_RULE_UNKNOWN: 404 },
      handle: async ({ params }) => answer(200, await rules.get(params.id)),
    }),
    defineRoute({
      method: "patch",
      path: "/rules/{id}",
      id: "changeRule",
      scope: "rules.write",
      tag,
      summary: "Change a routing rule",
      description: "What is left out stays. With `revision`, only if nobody has changed it since.",
      params: ruleParams,
      body: ruleChange,
      answers: { 200: json(rule, "the rule as it is now") },
      errors: { ...checked, ROUTE_RULE_UNKNOWN: 404, ROUTE_RULE_CHANGED: 409, ROUTE_RULE_NAME_TAKEN: 409 },
      handle: async ({ params, body }) => answer(200, await rules.change(params.id, body)),
    }),
    defineRoute({
      method: "delete",
      path: "/rules/{id}",
      id: "deleteRule",
      scope: "rules.write",
      tag,
      summary: "Delete a routing rule",
      params: ruleParams,
      answers: { 204: empty("it is gone; what it made stays") },
      errors: { ROUTE_RULE_UNKNOWN: 404 },
      handle: async ({ params }) => {
        await rules.remove(params.id);
        return answer(204);
      },
    }),
    defineRoute({
      method: "post",
      path: "/rules/test",
      id: "testRules",
      scope: "rules.write",
      tag,
      summary: "What rules would make of an event",
      description: "Of a stored request or of a given event; step by step, with the transform's log. Nothing is made.",
      body: ruleTest,
      answers: { 200: json(ruleTestAnswer, "what each rule would do") },
      errors: {
        ...checked,
        ROUTE_RULE_UNKNOWN: 404,
        ROUTE_REQUEST_UNKNOWN: 404,
        ROUTE_REQUEST_NOT_ACCEPTED: 409,
      },
      handle: async ({ body }) => answer(200, await dryRun(body)),
    }),
    defineRoute({
      method: "post",
      path: "/rules/reroute",
      id: "rerouteRequests",
      scope: "requests.write",
      tag,
      summary: "Route stored events again, by the rules of now",
      description:
        "Those that no rule took, or for which a rule failed, or those named. Rules that made something of an event before do not run again unless `anew` says so, " +
        "so that a repeated call does nothing twice.",
      body: rerouteBody,
      answers: { 200: json(rerouteAnswer, "what came of each") },
      errors: { API_CURSOR_INVALID: 400 },
      handle: async ({ body }) => {
        const { requestIds, routing, limit, cursor, anew } = body;
        const afterId = readCursor(z.uuid(), cursor);
        const ids =
          requestIds ??
          (await marked({
            routing: routing ?? "failed",
            source: body.source,
            receivedFrom: dateOf(body.receivedFrom),
            receivedBefore: dateOf(body.receivedBefore),
            afterId,
            limit: limit + 1,
          }));
        const taken = requestIds === undefined ? ids.slice(0, limit) : ids;
        const items: RerouteAnswer["items"] = [];
        // one after the other: live traffic comes first
        for (const id of taken) items.push(await rerouted(reroute, id, anew));
        const last = taken.at(-1);
        return answer(200, { items, nextCursor: ids.length > taken.length ? writeCursor(last) : null });
      },
    }),
  ];
}

const dateOf = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text));

async function rerouted(reroute: Reroute, requestId: string, anew: boolean): Promise<RerouteAnswer["items"][number]> {
  try {
    return viewOf(await reroute(requestId, { anew }));
  } catch (error) {
    if (!(error instanceof WarrenError) || error.retryable) throw error;
    return { requestId, routing: null, routes: [], refused: { code: error.code, message: error.message } };
  }
}

function viewOf({ requestId, routing, routes }: RerouteResult): RerouteAnswer["items"][number] {
  return {
    requestId,
    routing: routing ?? null,
    routes: routes.map((route) =>
      "failed" in route
        ? { rule: route.rule, made: null, id: null, failed: route.failed }
        : { rule: route.rule, made: route.made, id: route.id, failed: null },
    ),
    refused: null,
  };
}
