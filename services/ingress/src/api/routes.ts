import { deliveryRoutes } from "./deliveries.ts";
import { endpointRoutes, type OutboundRoutesOptions } from "./endpoints.ts";
import { replayRoutes } from "./replays.ts";
import { type RequestRoutesOptions, requestRoutes } from "./requests.ts";
import type { ApiRoute } from "./route.ts";
import { type RuleRoutesOptions, ruleRoutes } from "./rules.ts";
import { type SourceRoutesOptions, sourceRoutes } from "./sources.ts";

/** What the routes of all areas need. */
export type ApiParts = SourceRoutesOptions & RuleRoutesOptions & RequestRoutesOptions & OutboundRoutesOptions;

/** Every route of the management API. An area is one file and one line here. */
export function apiRoutes(parts: ApiParts): readonly ApiRoute[] {
  return [
    ...sourceRoutes(parts),
    ...ruleRoutes(parts),
    ...requestRoutes(parts),
    ...replayRoutes(parts),
    ...endpointRoutes(parts),
    ...deliveryRoutes(parts),
  ];
}
