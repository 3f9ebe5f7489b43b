import { type NewRule, newRule, type Rule, type RuleChange, WarrenError } from "@warren/contracts";
import { mostRules, type NewRuleRecord, type RoutingRules, type RuleRecord, type RuleRefusal } from "@warren/ledger";
import { type CompileParts, compileRule, type LiveRule } from "./compile.ts";
import { type LiveRules, ruleOf } from "./live.ts";

export interface RuleServiceOptions extends CompileParts {
  readonly store: RoutingRules;
  readonly live: Pick<LiveRules, "refresh">;
  readonly newId: () => string;
}

/** What people do to rules. Every change is checked before it is kept, and this process lives by it when it is answered. */
export interface RuleService {
  list(page: { readonly limit: number; readonly afterName: string | undefined }): Promise<readonly Rule[]>;
  /** @throws WarrenError `ROUTE_RULE_UNKNOWN`. */
  get(id: string): Promise<Rule>;
  /** @throws WarrenError `ROUTE_RULE_INVALID`, `ROUTE_TRANSFORM_INVALID`, `ROUTE_RULE_NAME_TAKEN`, `ROUTE_RULES_LIMIT`; retryable: `ROUTE_TRANSFORM_OVERLOADED`. */
  create(rule: NewRule): Promise<Rule>;
  /** @throws WarrenError as `get` and `create`, `ROUTE_RULE_CHANGED`. */
  change(id: string, change: RuleChange): Promise<Rule>;
  /** @throws WarrenError `ROUTE_RULE_UNKNOWN`. */
  remove(id: string): Promise<void>;
  /** Checks a rule and makes it ready to run, without keeping it. @throws WarrenError `ROUTE_RULE_INVALID`, `ROUTE_TRANSFORM_INVALID`. */
  check(rule: NewRule): Promise<LiveRule>;
}

const checkMs = 1_000;

export function createRuleService({ store, live, sandbox, knownJobs, newId }: RuleServiceOptions): RuleService {
  async function check(rule: NewRule): Promise<LiveRule> {
    const compiled = compileRule(rule, { sandbox, knownJobs });
    if (rule.transform !== null) {
      const looked = await sandbox.run({ ...rule.transform, timeoutMs: checkMs, input: undefined });
      if (looked.kind === "failed") {
        const { code, message } = looked.failure;
        // it was not looked at: that says nothing of the transform
        if (code === "ROUTE_TRANSFORM_OVERLOADED") throw new WarrenError(code, message, { retryable: true });
        throw new WarrenError("ROUTE_TRANSFORM_INVALID", `transform.code: ${message}`);
      }
    }
    return compiled;
  }

  /** What is kept is kept: a process that cannot look just now, this one too, sees it at its next look, and says so when that fails. */
  const seen = (): Promise<void> => live.refresh().catch(() => undefined);

  async function kept(rule: NewRule, write: (record: NewRuleRecord) => Promise<RuleRecord | RuleRefusal>, id: string) {
    await check(rule);
    const written = await write(recordOf(id, rule));
    if (typeof written === "string") throw refused(written, rule.name, id);
    await seen();
    return viewOf(written);
  }

  async function get(id: string): Promise<Rule> {
    const record = await store.find(id);
    if (record === undefined) throw refused("unknown", "", id);
    return viewOf(record);
  }

  return {
    list: async (page) => (await store.list(page)).map(viewOf),
    get,
    create: (rule) => kept(rule, (record) => store.create(record), newId()),
    async change(id, { revision, ...change }) {
      const before = await get(id);
      if (revision !== undefined && revision !== before.revision) throw refused("changed", before.name, id);
      const { id: _, revision: at, createdAt: _created, updatedAt: _updated, ...fields } = before;
      const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
      const merged = newRule.safeParse({ ...fields, ...given });
      if (!merged.success) {
        const [issue] = merged.error.issues;
        throw new WarrenError("ROUTE_RULE_INVALID", `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
      }
      return kept(merged.data, (record) => store.replace({ ...record, revision: at }), id);
    },
    async remove(id) {
      if (!(await store.remove(id))) throw refused("unknown", "", id);
      await seen();
    },
    check,
  };
}

function recordOf(id: string, { name, enabled, source, ...rule }: NewRule): NewRuleRecord {
  return { id, name, enabled, source: source ?? undefined, rule };
}

function viewOf(record: RuleRecord): Rule {
  return {
    id: record.id,
    ...ruleOf(record),
    revision: record.revision,
    createdAt: record.createdAt.toISOString(),
    updatedAt: record.updatedAt.toISOString(),
  };
}

function refused(why: RuleRefusal, name: string, id: string): WarrenError {
  switch (why) {
    case "unknown":
      return new WarrenError("ROUTE_RULE_UNKNOWN", `there is no rule ${id}`);
    case "changed":
      return new WarrenError("ROUTE_RULE_CHANGED", `the rule "${name}" was changed meanwhile`);
    case "name_taken":
      return new WarrenError("ROUTE_RULE_NAME_TAKEN", `there is a rule called "${name}"`);
    case "full":
      return new WarrenError("ROUTE_RULES_LIMIT", `there are ${mostRules} rules`);
    default:
      return why satisfies never;
  }
}
