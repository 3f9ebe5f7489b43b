import { createRoutingRules, type Ledger } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import { createCodeRouter } from "./code-router.ts";
import { knownJobs } from "./jobs.ts";
import type { CodeRule } from "./route.ts";
import { createRouter, type Router } from "./router.ts";
import { createLiveRules } from "./rules/live.ts";
import { createSandbox } from "./sandbox/sandbox.ts";

export interface RoutingOptions {
  readonly ledger: Pick<Ledger, "table" | "query">;
  /** Rules in code. */
  readonly rules: readonly CodeRule[];
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The rules of an ingress and what runs them. */
export interface Routing extends AsyncDisposable {
  readonly router: Router;
  /** Reads the rules made at run time, and from then on their changes; before anything is routed. */
  start(): Promise<void>;
}

export function createRouting({ ledger, rules, log, metrics }: RoutingOptions): Routing {
  const sandbox = createSandbox({ log });
  const live = createLiveRules({ store: createRoutingRules(ledger), sandbox, knownJobs, log });
  const router = createRouter({ code: createCodeRouter(rules), rules: live, log, metrics });
  return {
    router,
    start: () => live.start(),
    async [Symbol.asyncDispose]() {
      await live[Symbol.asyncDispose]();
      await sandbox[Symbol.asyncDispose]();
    },
  };
}
