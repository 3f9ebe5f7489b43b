import { pageOf, type SourceView, sourceTestResult, sourceView, sourceWithSecret } from "@warren/contracts";
import type { Environment } from "@warren/service";
import { apiClient } from "./api.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { jsonOf, textOf } from "./flags.ts";
import { type Output, printFields, printJson, printRows, say } from "./output.ts";

export interface SourceCommand {
  readonly environment: Environment;
  readonly output: Output;
}

interface Named extends SourceCommand {
  readonly name: string;
}

const page = pageOf(sourceView);
const pathOf = (name: string): string => `/sources/${encodeURIComponent(name)}`;

export async function sourceList({ environment, output }: SourceCommand): Promise<ExitCode> {
  const call = apiClient(environment);
  const sources: SourceView[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const { items, nextCursor } = page.parse(
      await call("GET", `/sources?limit=200${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`),
    );
    sources.push(...items);
    cursor = nextCursor;
  }
  if (output.format === "json") printJson(output, sources);
  else {
    const rows = sources.map(({ name, provider, origin, enabled, problem, secrets }) => ({
      name,
      provider,
      origin,
      state: enabled ? (problem ?? "enabled") : "disabled",
      secrets: secrets.filter(({ current }) => current).length,
    }));
    printRows(output, ["name", "provider", "origin", "state", "secrets"], rows);
  }
  return exitCodes.ok;
}

export async function sourceShow({ environment, output, name }: Named): Promise<ExitCode> {
  return printSource(output, sourceView.parse(await apiClient(environment)("GET", pathOf(name))));
}

export interface CreateOptions {
  readonly provider: string;
  readonly secretFile?: string;
  readonly options?: string;
  readonly disabled?: boolean;
}

export async function sourceCreate({
  environment,
  output,
  name,
  provider,
  secretFile,
  options,
  disabled = false,
}: Named & CreateOptions): Promise<ExitCode> {
  const body = {
    name,
    provider,
    enabled: !disabled,
    ...(options === undefined ? {} : { options: jsonOf("--options", options) }),
    ...(secretFile === undefined ? {} : { secrets: [{ value: textOf("--secret-file", secretFile) }] }),
  };
  return printMade(output, await apiClient(environment)("POST", "/sources", body));
}

export async function sourceSwitch({
  environment,
  output,
  name,
  enabled,
}: Named & { readonly enabled: boolean }): Promise<ExitCode> {
  await apiClient(environment)("PATCH", pathOf(name), { enabled });
  say(output, `${name} is ${enabled ? "enabled" : "disabled"}`);
  return exitCodes.ok;
}

export async function sourceDelete({ environment, output, name }: Named): Promise<ExitCode> {
  await apiClient(environment)("DELETE", pathOf(name));
  say(output, `${name} is deleted`);
  return exitCodes.ok;
}

export async function sourceRotate({
  environment,
  output,
  name,
  secretFile,
  overlap,
}: Named & { readonly secretFile?: string; readonly overlap: number }): Promise<ExitCode> {
  const body = {
    overlapSeconds: overlap,
    ...(secretFile === undefined ? {} : { value: textOf("--secret-file", secretFile) }),
  };
  return printMade(output, await apiClient(environment)("POST", `${pathOf(name)}/secrets`, body));
}

export async function sourceRevoke({
  environment,
  output,
  name,
  id,
}: Named & { readonly id: string }): Promise<ExitCode> {
  await apiClient(environment)("DELETE", `${pathOf(name)}/secrets/${encodeURIComponent(id)}`);
  say(output, `${id} is revoked`);
  return exitCodes.ok;
}

/** `failed` when the ingress did not accept the test event. */
export async function sourceTest({
  environment,
  output,
  name,
  type,
  payload,
}: Named & { readonly type?: string; readonly payload?: string }): Promise<ExitCode> {
  const body = {
    ...(type === undefined ? {} : { type }),
    ...(payload === undefined ? {} : { payload: jsonOf("--payload", payload) }),
  };
  const result = sourceTestResult.parse(await apiClient(environment)("POST", `${pathOf(name)}/test`, body));
  if (output.format === "json") printJson(output, result);
  else {
    say(output, `${result.answer.status} ${result.answer.body}`);
    say(output, `correlation id ${result.correlationId}`);
  }
  return result.accepted ? exitCodes.ok : exitCodes.failed;
}

function printMade(output: Output, answer: unknown): ExitCode {
  const made = sourceWithSecret.parse(answer);
  if (output.format === "json") printJson(output, made);
  else {
    say(output, `${made.source.name} takes webhooks at ${made.source.path}`);
    if (made.secret !== null) say(output, `secret, shown this once: ${made.secret}`);
  }
  return exitCodes.ok;
}

function printSource(output: Output, source: SourceView): ExitCode {
  if (output.format === "json") printJson(output, source);
  else printFields(output, source);
  return exitCodes.ok;
}
