import type { Logger, Metrics } from "@warren/observability";
import type { WebhookEvent } from "../intake/event.ts";
import type { CodeRouter } from "./code-router.ts";
import type { Origin } from "./route.ts";
import { gather, type Routed, type RuleResult } from "./routed.ts";
import type { LiveRule } from "./rules/compile.ts";
import type { LiveRules } from "./rules/live.ts";

export interface RouterOptions {
  readonly code: CodeRouter;
  readonly rules: Pick<LiveRules, "of">;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** All rules, those in code and those made at run time. */
export interface Router {
  /**
   * What comes of an event. At once where only rules in code have a say; never throws and never rejects: a rule that fails leaves its
   * failure in the report, and the others run. `skips`: rules that have done their work before; with it everything is reported.
   */
  route(event: WebhookEvent, origin: Origin, skips?: (rule: string) => boolean): Routed | Promise<Routed>;
  /** Counts what became of an accepted event. */
  accepted(event: Pick<WebhookEvent, "source" | "requestId">, routed: Routed): void;
}

export function createRouter({ code, rules, log, metrics }: RouterOptions): Router {
  const unmatched = metrics.counter({
    name: "warren_webhook_unmatched_total",
    help: "Accepted webhooks of which no rule made anything",
    labels: ["source"],
  });
  const failures = metrics.counter({
    name: "warren_webhook_routing_failures_total",
    help: "Rules that failed for an accepted webhook: it is kept, and can be routed again",
    labels: ["rule", "code"],
  });
  const made = metrics.counter({
    name: "warren_webhook_routed_total",
    help: "What reported rules made of accepted webhooks: job, event or delivery",
    labels: ["rule", "made"],
  });

  return {
    route(event, origin, skips) {
      const inCode = code(event, origin, skips);
      const own = rules.of(event.source);
      return own === undefined ? gather(inCode, skips !== undefined) : routeByAll(own, inCode, event, origin, skips);
    },
    accepted({ source, requestId }, { jobs, events, routes }) {
      if (routes === undefined) {
        if (jobs.length === 0) unmatched.inc({ source });
        return;
      }
      let hasFailed = false;
      for (const route of routes) {
        if ("failed" in route) {
          hasFailed = true;
          failures.inc({ rule: route.rule, code: route.failed.code });
          log.warn(
            { requestId, source, rule: route.rule, ...route.failed },
            "a routing rule failed; the webhook is kept",
          );
        } else made.inc({ rule: route.rule, made: route.made });
      }
      if (!hasFailed && jobs.length === 0 && events.length === 0) unmatched.inc({ source });
    },
  };
}

async function routeByAll(
  own: readonly LiveRule[],
  inCode: readonly RuleResult[],
  event: WebhookEvent,
  origin: Origin,
  skips: ((rule: string) => boolean) | undefined,
): Promise<Routed> {
  const asked = own.filter(({ name, takesType }) => takesType(event.eventType) && skips?.(name) !== true);
  const results = await Promise.all(asked.map(({ explain }) => explain(event, origin)));
  const live = results.filter((result) => result.made.length > 0 || result.failed !== undefined);
  return gather([...inCode, ...live], live.length > 0 || skips !== undefined);
}
