import type { WebhookEvent } from "../intake/event.ts";
import type { CodeRule, Origin } from "./route.ts";
import type { RuleResult } from "./routed.ts";

/** Runs the rules in code. `skips`: rules that have done their work before. Never throws. */
export type CodeRouter = (
  event: WebhookEvent,
  origin: Origin,
  skips?: (rule: string) => boolean,
) => readonly RuleResult[];

/** Sources that come and go at run time must not fill the memory with what was found out about them. */
const mostRememberedSources = 10_000;
const none: readonly RuleResult[] = [];

/** @throws TypeError when two rules have one name. */
export function createCodeRouter(rules: readonly CodeRule[]): CodeRouter {
  const twice = rules.find(({ name }, at) => rules.findIndex((other) => other.name === name) !== at);
  if (twice !== undefined) throw new TypeError(`two routes are called "${twice.name}": give one another name`);

  const remembered = new Map<string, readonly CodeRule[]>();
  function rulesOf({ source, provider }: WebhookEvent): readonly CodeRule[] {
    const key = `${provider}/${source}`;
    let own = remembered.get(key);
    if (own === undefined) {
      own = rules.filter(
        ({ sources, providers }) =>
          (sources === undefined || sources.includes(source)) &&
          (providers === undefined || providers.includes(provider)),
      );
      if (remembered.size >= mostRememberedSources) remembered.clear();
      remembered.set(key, own);
    }
    return own;
  }

  return (event, origin, skips) => {
    let results: RuleResult[] | undefined;
    let hasMade = false;
    for (const rule of rulesOf(event)) {
      if (!rule.takesType(event.eventType)) continue;
      if (skips?.(rule.name) === true) {
        hasMade = true;
        continue;
      }
      if (rule.otherwise && hasMade) continue;
      const result = rule.run(event, origin);
      if (result === undefined || (result.made.length === 0 && result.failed === undefined)) continue;
      hasMade ||= result.made.length > 0;
      results ??= [];
      results.push({ rule: rule.name, ...result });
    }
    return results ?? none;
  };
}
