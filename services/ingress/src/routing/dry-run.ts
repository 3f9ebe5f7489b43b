import { type RuleTest, type RuleTestAnswer, WarrenError } from "@warren/contracts";
import { newId, type Rerouting } from "@warren/ledger";
import { createEvent, type WebhookEvent } from "../intake/event.ts";
import { isProviderName, type ProviderName } from "../sources/providers.ts";
import { parseJson } from "../verify/json.ts";
import type { CodeRouter } from "./code-router.ts";
import { eventOfRequest } from "./reroute.ts";
import type { Made, RuleResult } from "./routed.ts";
import type { Explained, LiveRule } from "./rules/compile.ts";
import type { LiveRules } from "./rules/live.ts";
import type { RuleService } from "./rules/service.ts";

export interface DryRunOptions {
  readonly code: CodeRouter;
  readonly live: Pick<LiveRules, "of">;
  readonly rules: Pick<RuleService, "check" | "get">;
  readonly store: Pick<Rerouting, "find">;
  /** Provider of a configured source. */
  readonly providerOf: (source: string) => ProviderName | undefined;
  readonly now: () => number;
}

/**
 * Says what rules would make of an event, step by step, and makes nothing of it.
 * @throws WarrenError `ROUTE_RULE_UNKNOWN`, `ROUTE_RULE_INVALID`, `ROUTE_TRANSFORM_INVALID`, `ROUTE_REQUEST_UNKNOWN`, `ROUTE_REQUEST_NOT_ACCEPTED`.
 */
export type DryRun = (test: RuleTest) => Promise<RuleTestAnswer>;

const origin = { correlationId: "dry-run", trace: undefined };

export function createDryRun({ code, live, rules, store, providerOf, now }: DryRunOptions): DryRun {
  async function eventOf({ requestId, event }: RuleTest): Promise<WebhookEvent> {
    if (requestId !== undefined) return eventOfRequest(await store.find(requestId), requestId);
    if (event === undefined) throw new WarrenError("ROUTE_REQUEST_UNKNOWN", "no event was given");
    const { source, provider = providerOf(source) ?? "hmac", id, type, headers = {}, query } = event;
    if (!isProviderName(provider)) throw new WarrenError("ROUTE_RULE_INVALID", `event.provider: "${provider}" is none`);
    return createEvent({
      requestId: newId(),
      source,
      provider,
      eventId: id,
      eventType: type,
      receivedAt: new Date(now()),
      url: query === undefined ? `/webhooks/${source}` : `/webhooks/${source}?${query}`,
      rawHeaders: Object.entries(headers).flat(),
      body: Buffer.from(JSON.stringify(event.body) ?? ""),
      parsed: undefined,
    });
  }

  async function asked({ rule, ruleId }: RuleTest, source: string): Promise<readonly LiveRule[]> {
    if (rule !== undefined) return [await rules.check(rule)];
    if (ruleId !== undefined) return [await rules.check(await rules.get(ruleId))];
    return live.of(source) ?? [];
  }

  return async (test) => {
    const event = await eventOf(test);
    const all = test.rule === undefined && test.ruleId === undefined;
    const inCode = all ? code(event, origin).map(resultOfCode) : [];
    const explained = await Promise.all((await asked(test, event.source)).map(({ explain }) => explain(event, origin)));
    return { results: [...inCode, ...explained.map(resultOf)] };
  };
}

type Result = RuleTestAnswer["results"][number];

function resultOfCode({ rule, made, failed }: RuleResult): Result {
  return { rule, takes: true, filter: null, transform: null, would: made.map(outputOf), failed: failed ?? null };
}

function resultOf({ rule, takes, filter, transform, made, failed }: Explained): Result {
  return {
    rule,
    takes,
    filter: filter === undefined ? null : { outcome: filter.kind, why: filter.kind === "failed" ? filter.why : null },
    transform:
      transform === undefined
        ? null
        : {
            output: transform.kind === "returned" && transform.output !== undefined ? parse(transform.output) : null,
            logs: [...transform.logs],
            durationMs: transform.durationMs,
          },
    would: made.map(outputOf),
    failed: failed ?? null,
  };
}

const parse = (text: string): unknown => parseJson(Buffer.from(text));

function outputOf(one: Made): Result["would"][number] {
  if (one.made === "event") {
    const { type, headers, body, orderingKey } = one.event;
    const subject = headers["cloudEvents_subject"];
    return {
      kind: "event",
      type,
      subject: typeof subject === "string" ? subject : null,
      orderingKey: orderingKey ?? null,
      data: parse(body),
    };
  }
  const { name, queue, version, maxAttempts, limitKey, unique, delayMs, priority, payload } = one.job;
  return {
    kind: one.made,
    job: name,
    queue,
    version,
    attempts: maxAttempts,
    key: limitKey ?? null,
    uniqueKey: unique?.key ?? null,
    delayMs: delayMs ?? null,
    priority: priority ?? 0,
    payload,
  };
}
