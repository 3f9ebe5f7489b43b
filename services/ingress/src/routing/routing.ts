import { createRerouting, createRoutingRules, type Ledger, newId } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { ProviderName } from "../sources/providers.ts";
import { createCodeRouter } from "./code-router.ts";
import { createDryRun, type DryRun } from "./dry-run.ts";
import { knownJobs } from "./jobs.ts";
import { createReroute, type Reroute } from "./reroute.ts";
import type { CodeRule } from "./route.ts";
import { createRouter, type Router } from "./router.ts";
import { createLiveRules } from "./rules/live.ts";
import { createRuleService, type RuleService } from "./rules/service.ts";
import { createSandbox } from "./sandbox/sandbox.ts";

export interface RoutingOptions {
  readonly ledger: Pick<Ledger, "table" | "query" | "transaction" | "enqueueIn" | "events">;
  /** Rules in code. */
  readonly rules: readonly CodeRule[];
  /** Tells workers of committed jobs. */
  readonly announce: (jobs: readonly { readonly id: string; readonly queue: string }[]) => void;
  /** Provider of a configured source. */
  readonly providerOf: (source: string) => ProviderName | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/** The rules of an ingress, what runs them, and what people do with them. */
export interface Routing extends AsyncDisposable {
  readonly router: Router;
  readonly rules: RuleService;
  readonly dryRun: DryRun;
  readonly reroute: Reroute;
  readonly marked: ReturnType<typeof createRerouting>["marked"];
  /** Reads the rules made at run time, and from then on their changes; before anything is routed. */
  start(): Promise<void>;
}

export function createRouting(options: RoutingOptions): Routing {
  const { ledger, announce, providerOf, log, metrics, now } = options;
  const store = createRoutingRules(ledger);
  const rerouting = createRerouting(ledger);
  const sandbox = createSandbox({ log });
  const live = createLiveRules({ store, sandbox, knownJobs, log });
  const code = createCodeRouter(options.rules);
  const router = createRouter({ code, rules: live, log, metrics });
  const rules = createRuleService({ store, live, sandbox, knownJobs, newId });
  return {
    router,
    rules,
    dryRun: createDryRun({ code, live, rules, store: rerouting, providerOf, now }),
    reroute: createReroute({ store: rerouting, router, announce }),
    marked: (filter) => rerouting.marked(filter),
    start: () => live.start(),
    async [Symbol.asyncDispose]() {
      await live[Symbol.asyncDispose]();
      await sandbox[Symbol.asyncDispose]();
    },
  };
}
