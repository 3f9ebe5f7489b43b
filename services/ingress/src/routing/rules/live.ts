import { newRule } from "@warren/contracts";
import type { RoutingRules, RuleRecord } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { type CompileParts, compileRule, type LiveRule } from "./compile.ts";

export interface LiveRulesOptions extends CompileParts {
  readonly sandbox: Pick<Sandbox, "run" | "warm">;
  readonly store: Pick<RoutingRules, "version" | "enabled">;
  readonly log: Logger;
  /** How often changes are looked for, in milliseconds. Default 1,000. */
  readonly pollMs?: number;
}

/** The rules made at run time, as this process knows them: a second or so behind the ledger, and the last known while it is away. */
export interface LiveRules extends AsyncDisposable {
  /** Rules for events of a source, by name; `undefined` when there are none. */
  of(source: string): readonly LiveRule[] | undefined;
  /** Reads the rules, and from then on their changes. Rejects when the ledger cannot be read: routing without them would lose work. */
  start(): Promise<void>;
  /** Looks for changes now. */
  refresh(): Promise<void>;
}

const mostRememberedSources = 10_000;

export function createLiveRules({ store, sandbox, knownJobs, log, pollMs = 1_000 }: LiveRulesOptions): LiveRules {
  let rules: readonly LiveRule[] = [];
  let known: string | undefined;
  let bySource = new Map<string, readonly LiveRule[]>();
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  let isAway = false;
  let isClosed = false;

  async function read(): Promise<void> {
    if (known !== undefined && (await store.version()) === known) return;
    const { version, rules: records } = await store.enabled();
    const next = records.flatMap((record) => compiled(record) ?? []);
    // no event waits for the thread to start
    if (next.some(({ needsSandbox }) => needsSandbox)) await sandbox.warm();
    rules = next;
    bySource = new Map();
    known = version;
  }

  function compiled(record: RuleRecord): LiveRule | undefined {
    try {
      return compileRule(ruleOf(record), { sandbox, knownJobs });
    } catch (error) {
      log.error({ err: error, rule: record.name }, "a routing rule cannot be used by this version and is left out");
      return undefined;
    }
  }

  function refresh(): Promise<void> {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  function later(): void {
    if (isClosed) return;
    timer = setTimeout(() => {
      void poll();
    }, pollMs);
  }

  async function poll(): Promise<void> {
    try {
      await refresh();
      isAway = false;
    } catch (error) {
      if (!isAway) log.warn({ err: error }, "routing rules cannot be read; those known last go on");
      isAway = true;
    }
    later();
  }

  return {
    of(source) {
      if (rules.length === 0) return undefined;
      let own = bySource.get(source);
      if (own === undefined) {
        own = rules.filter((rule) => rule.source === undefined || rule.source === source);
        if (bySource.size >= mostRememberedSources) bySource.clear();
        bySource.set(source, own);
      }
      return own.length === 0 ? undefined : own;
    },
    async start() {
      await refresh();
      later();
    },
    refresh: async () => {
      // one that is under way may have read before the change
      await reading?.catch(() => undefined);
      await refresh();
    },
    async [Symbol.asyncDispose]() {
      isClosed = true;
      clearTimeout(timer);
      await reading?.catch(() => undefined);
    },
  };
}

/** A kept rule as it was given. @throws ZodError when a newer version wrote what this one does not know. */
export function ruleOf({ name, enabled, source, rule }: Pick<RuleRecord, "name" | "enabled" | "source" | "rule">) {
  return newRule.parse({ ...(rule as object), name, enabled, source: source ?? null });
}
