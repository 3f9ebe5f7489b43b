import { pageOf, type Rule, ruleTestAnswer, rule as ruleView, WarrenError } from "@warren/contracts";
import type { Environment } from "@warren/service";
import type { Command } from "commander";
import { apiClient, type CallApi } from "./api.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { id, jsonOf, textOf } from "./flags.ts";
import { type Output, printFields, printJson, printRows, say } from "./output.ts";

interface RuleCommand {
  readonly environment: Environment;
  readonly output: Output;
}

interface OnOne extends RuleCommand {
  readonly name: string;
}

const page = pageOf(ruleView);

/** Adds `rule …` to the program: what comes of a webhook, by the management API. Rules go by their names, which are unique. */
export function addRuleCommands(program: Command, context: () => RuleCommand, finish: (code: ExitCode) => void): void {
  const rule = program
    .command("rule")
    .description("what comes of a webhook: rules made at run time; by the management API (WARREN_API_URL)");
  const onOne = (name: string, description: string, act: (on: OnOne) => Promise<ExitCode>) =>
    rule
      .command(name)
      .argument("<name>")
      .description(description)
      .action(async (one: string) => finish(await act({ ...context(), name: one })));
  rule
    .command("list")
    .description("all rules but those in code")
    .action(async () => finish(await ruleList(context())));
  onOne("show", "all that is known of one; exit code 4 if it is unknown", ruleShow);
  rule
    .command("create")
    .argument("<file>", "JSON of the rule, as POST /rules takes it; - is standard input")
    .description("make one; every ingress routes by it within about a second")
    .action(async (file: string) => finish(await ruleCreate({ ...context(), file })));
  rule
    .command("test")
    .argument("<file>", "JSON of a rule that is not kept yet; - is standard input")
    .argument("<request>", "the id of a stored request, as `webhook requests` tells", id)
    .description("what a rule would make of a request, step by step; nothing is made. Exit code 1 if it would fail")
    .action(async (file: string, request: string) => finish(await ruleTest({ ...context(), file, request })));
  onOne("enable", "route by it again", (on) => ruleSwitch({ ...on, enabled: true }));
  onOne("disable", "route by it no more", (on) => ruleSwitch({ ...on, enabled: false }));
  onOne("delete", "what it made stays; exit code 4 if it is unknown", ruleDelete);
}

async function allRules(call: CallApi): Promise<readonly Rule[]> {
  const all: Rule[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const from: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const { items, nextCursor } = page.parse(await call("GET", `/rules?limit=200${from}`));
    all.push(...items);
    cursor = nextCursor;
  }
  return all;
}

/** @throws WarrenError `ROUTE_RULE_UNKNOWN`. */
async function named(call: CallApi, name: string): Promise<Rule> {
  const found = (await allRules(call)).find((one) => one.name === name);
  if (found === undefined) throw new WarrenError("ROUTE_RULE_UNKNOWN", `there is no rule ${name}`);
  return found;
}

async function ruleList({ environment, output }: RuleCommand): Promise<ExitCode> {
  const rules = await allRules(apiClient(environment));
  if (output.format === "json") printJson(output, rules);
  else {
    const rows = rules.map(({ name, source, types, enabled, to }) => ({
      name,
      source: source ?? "all",
      types: types.length === 0 ? "all" : types.join(","),
      to: to.kind === "job" ? `job ${to.job}` : to.kind,
      state: enabled ? "enabled" : "disabled",
    }));
    printRows(output, ["name", "source", "types", "to", "state"], rows);
  }
  return exitCodes.ok;
}

async function ruleShow({ environment, output, name }: OnOne): Promise<ExitCode> {
  const found = await named(apiClient(environment), name);
  if (output.format === "json") printJson(output, found);
  else printFields(output, found);
  return exitCodes.ok;
}

async function ruleCreate({ environment, output, file }: RuleCommand & { readonly file: string }): Promise<ExitCode> {
  const call = apiClient(environment);
  const made = ruleView.parse(await call("POST", "/rules", fieldsOf(file)));
  if (output.format === "json") printJson(output, made);
  else say(output, `${made.name} is made; route again what nothing took with POST /api/v1/rules/reroute`);
  return exitCodes.ok;
}

async function ruleTest({
  environment,
  output,
  file,
  request,
}: RuleCommand & { readonly file: string; readonly request: string }): Promise<ExitCode> {
  const call = apiClient(environment);
  const body = { rule: fieldsOf(file), requestId: request };
  const { results } = ruleTestAnswer.parse(await call("POST", "/rules/test", body));
  printJson(output, results);
  return results.some(({ failed }) => failed !== null) ? exitCodes.failed : exitCodes.ok;
}

async function ruleSwitch({
  environment,
  output,
  name,
  enabled,
}: OnOne & { readonly enabled: boolean }): Promise<ExitCode> {
  const call = apiClient(environment);
  await call("PATCH", `/rules/${(await named(call, name)).id}`, { enabled });
  say(output, `${name} is ${enabled ? "enabled" : "disabled"}`);
  return exitCodes.ok;
}

async function ruleDelete({ environment, output, name }: OnOne): Promise<ExitCode> {
  const call = apiClient(environment);
  await call("DELETE", `/rules/${(await named(call, name)).id}`);
  say(output, `${name} is deleted`);
  return exitCodes.ok;
}

/** A rule is checked where it is taken; here it need only be an object. */
function fieldsOf(file: string): Readonly<Record<string, unknown>> {
  const given = jsonOf(file, textOf("the rule in", file));
  if (typeof given === "object" && given !== null && !Array.isArray(given)) return { ...given };
  throw new WarrenError("CONFIG_INVALID", `${file} holds no rule: expected a JSON object`);
}
