import { type NewRule, WarrenError } from "@warren/contracts";
import type { JobDefinition } from "@warren/jobs";
import type { WebhookEvent } from "../../intake/event.ts";
import { compileCondition, type Documents, type Judgement } from "../condition.ts";
import { stepsOf } from "../json-path.ts";
import { typesOf } from "../pattern.ts";
import type { Origin } from "../route.ts";
import { failure, failureOf, type Made, type RouteFailure } from "../routed.ts";
import type { SandboxAnswer } from "../sandbox/protocol.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { explainEach, partsOf } from "./each.ts";
import { compileTarget } from "./target.ts";
import { compileTemplate } from "./template.ts";

export interface CompileParts {
  readonly sandbox: Pick<Sandbox, "run">;
  readonly knownJobs: readonly JobDefinition[];
}

/** What a rule made of an event, step by step; the steps that it did not come to are left out. */
export interface Explained {
  readonly rule: string;
  /** Whether it takes events of this source and type. */
  readonly takes: boolean;
  readonly filter?: Judgement;
  readonly transform?: SandboxAnswer;
  readonly payload?: unknown;
  readonly made: readonly Made[];
  readonly failed: RouteFailure | undefined;
}

/** A rule made at run time, ready to run. */
export interface LiveRule {
  readonly name: string;
  readonly source: string | undefined;
  readonly takesType: (type: string | undefined) => boolean;
  readonly needsSandbox: boolean;
  /** Never rejects. */
  readonly explain: (event: WebhookEvent, origin: Origin) => Promise<Explained>;
}

/** @throws WarrenError `ROUTE_RULE_INVALID` for what no schema can tell. */
export function compileRule(rule: NewRule, { sandbox, knownJobs }: CompileParts): LiveRule {
  const { name, source, transform, onFilterError } = rule;
  const takesType = typesOf(rule.types);
  const each = rule.each === null ? undefined : stepsOf(rule.each);
  const judge = rule.when === null ? undefined : compileCondition(rule.when);
  const template = rule.payload === null ? undefined : compileTemplate(rule.payload);
  const target = compileTarget(rule.to, knownJobs);

  async function run(event: WebhookEvent, origin: Origin): Promise<Explained> {
    if ((source !== null && source !== event.source) || !takesType(event.eventType)) {
      return { rule: name, takes: false, made: [], failed: undefined };
    }
    if (each === undefined) return runOne(event, origin);
    const parts = partsOf(event, each);
    if ("code" in parts) return { rule: name, takes: true, made: [], failed: parts };
    return explainEach(name, parts, (part) => runOne(part, origin));
  }

  async function runOne(event: WebhookEvent, origin: Origin): Promise<Explained> {
    const filter = judge?.(documentsOf(event));
    const judged = { rule: name, takes: true, ...(filter === undefined ? {} : { filter }) };
    if (filter?.kind === "unfit") return { ...judged, made: [], failed: undefined };
    const failed = filter?.kind === "failed" ? failure("ROUTE_FILTER_FAILED", filter.why) : undefined;
    if (failed !== undefined && onFilterError === "skip") return { ...judged, made: [], failed };

    if (transform === null) return finish(event, origin, judged, failed, () => plainPayload(event));
    const ran = await sandbox.run({ ...transform, input: JSON.stringify(inputOf(event)) });
    const steps = { ...judged, transform: ran };
    if (ran.kind === "failed") return { ...steps, made: [], failed: ran.failure };
    const { output } = ran;
    if (output === undefined) return { ...steps, made: [], failed };
    return finish(event, origin, steps, failed, () => JSON.parse(output) as unknown);
  }

  async function explain(event: WebhookEvent, origin: Origin): Promise<Explained> {
    try {
      return await run(event, origin);
    } catch (error) {
      // such as a body nested deeper than JSON.stringify follows
      return { rule: name, takes: true, made: [], failed: failureOf("ROUTE_OUTPUT_REFUSED", error) };
    }
  }

  function finish(
    event: WebhookEvent,
    origin: Origin,
    steps: Omit<Explained, "made" | "failed">,
    failed: RouteFailure | undefined,
    payloadOf: () => unknown,
  ): Explained {
    try {
      const payload = payloadOf();
      return { ...steps, payload, made: [target(event, payload, origin)], failed };
    } catch (error) {
      return { ...steps, made: [], failed: failureOf("ROUTE_OUTPUT_REFUSED", error) };
    }
  }

  function plainPayload(event: WebhookEvent): unknown {
    if (template !== undefined) return template(event);
    const body = event.payload();
    if (body === undefined) throw new WarrenError("ROUTE_BODY_INVALID", "the body is neither JSON nor a form");
    return body;
  }

  return { name, source: source ?? undefined, takesType, needsSandbox: transform !== null, explain };
}

/** What a transform is given, as `event`. */
function inputOf(event: WebhookEvent) {
  return {
    requestId: event.requestId,
    source: event.source,
    provider: event.provider,
    id: event.eventId ?? null,
    type: event.eventType ?? null,
    subject: event.eventSubject ?? null,
    receivedAt: event.receivedAt.toISOString(),
    headers: event.headers(),
    query: event.query(),
    body: event.payload() ?? null,
  };
}

const documentsOf = (event: WebhookEvent): Documents => ({
  body: event.payload,
  headers: event.headers,
  query: event.query,
});
