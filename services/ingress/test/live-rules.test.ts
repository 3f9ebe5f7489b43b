import { newRule } from "@warren/contracts";
import { LedgerUnavailableError, type RoutingRules, type RuleRecord } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { failure } from "../src/routing/routed.ts";
import { createLiveRules } from "../src/routing/rules/live.ts";
import { createRuleService } from "../src/routing/rules/service.ts";

const sandbox = { run: () => Promise.reject(new Error("no transform here")), warm: () => Promise.resolve() };
const log = createLogger({ service: "live-rules-test", level: "silent" });

const unused = (): never => {
  throw new Error("nothing is kept");
};

function record(name: string, source?: string, rule?: unknown): RuleRecord {
  const given = newRule.parse({ name, to: { kind: "job", job: "a", queue: "b" } });
  const at = new Date(0);
  return { id: name, name, enabled: true, source, rule: rule ?? given, revision: 1, createdAt: at, updatedAt: at };
}

/** What the ledger would answer. */
function fakeStore() {
  const state = { version: 1, rules: [] as RuleRecord[], isAway: false, reads: 0 };
  const answer = <T>(value: T): Promise<T> =>
    state.isAway ? Promise.reject(new LedgerUnavailableError("away")) : Promise.resolve(value);
  const store = {
    version: () => answer(String(state.version)),
    enabled: () => {
      state.reads += 1;
      return answer({ version: String(state.version), rules: [...state.rules] });
    },
  };
  return { state, store };
}

test("rules are read again only when their version has grown, and each source has its own and everybody's", async () => {
  const { state, store } = fakeStore();
  state.rules = [record("all"), record("shop", "shop")];
  await using live = createLiveRules({ store, sandbox, knownJobs: [], log, pollMs: 5 });
  await live.start();
  const namesOf = (source: string) => live.of(source)?.map(({ name }) => name);
  expect([namesOf("shop"), namesOf("other")]).toEqual([["all", "shop"], ["all"]]);
  await live.refresh();
  expect(state.reads).toBe(1);
  state.rules = [];
  state.version = 2;
  await waitFor(() => namesOf("shop") === undefined);
  expect(state.reads).toBe(2);
});

test("the rules known last go on while the ledger is away, and a rule of a newer version is left out alone", async () => {
  const { state, store } = fakeStore();
  state.rules = [record("well"), record("newer", undefined, { to: { kind: "fax" } })];
  await using live = createLiveRules({ store, sandbox, knownJobs: [], log, pollMs: 5 });
  await live.start();
  state.isAway = true;
  state.version = 2;
  await expect(live.refresh()).rejects.toThrow("away");
  expect(live.of("shop")?.map(({ name }) => name)).toEqual(["well"]);
  state.isAway = false;
  state.rules = [record("well"), record("more")];
  await waitFor(() => live.of("shop")?.length === 2);
});

test("nothing starts without having read the rules once", async () => {
  const { state, store } = fakeStore();
  state.isAway = true;
  await using live = createLiveRules({ store, sandbox, knownJobs: [], log });
  await expect(live.start()).rejects.toThrow("away");
});

test("a transform that the sandbox had no time to look at is no wrong transform: the call may be tried again", async () => {
  const looked = failure("ROUTE_TRANSFORM_OVERLOADED", "200 others wait already");
  const busy = { run: () => Promise.resolve({ kind: "failed", failure: looked, logs: [], durationMs: 0 } as const) };
  const store = { list: unused, find: unused, create: unused, replace: unused, remove: unused };
  const service = createRuleService({
    store: store as unknown as RoutingRules,
    live: { refresh: unused },
    sandbox: busy,
    knownJobs: [],
    newId: () => "id",
  });
  const rule = newRule.parse({
    name: "a",
    transform: { code: "function transform() {}" },
    to: { kind: "job", job: "a", queue: "b" },
  });
  await expect(service.check(rule)).rejects.toMatchObject({ code: "ROUTE_TRANSFORM_OVERLOADED", retryable: true });
});
