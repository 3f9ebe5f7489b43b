import {
  type AttemptView,
  attemptView,
  deliveryDetail,
  deliveryView,
  type EndpointView,
  endpointRetryAnswer,
  endpointTestAnswer,
  endpointView,
  endpointWithSecret,
  pageOf,
  WarrenError,
} from "@warren/contracts";
import type { Environment } from "@warren/service";
import { apiClient } from "./api.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { jsonOf, textOf } from "./flags.ts";
import { type Output, printFields, printJson, printRows, say } from "./output.ts";

export interface EndpointCommand {
  readonly environment: Environment;
  readonly output: Output;
}

interface OnOne extends EndpointCommand {
  readonly id: string;
}

const endpoints = pageOf(endpointView);
const deliveries = pageOf(deliveryView);
const attempts = pageOf(attemptView);
const pathOf = (id: string): string => `/endpoints/${encodeURIComponent(id)}`;

export async function endpointList({ environment, output }: EndpointCommand): Promise<ExitCode> {
  const call = apiClient(environment);
  const all: EndpointView[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const from: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = endpoints.parse(await call("GET", `/endpoints?limit=200${from}`));
    all.push(...page.items);
    cursor = page.nextCursor;
  }
  if (output.format === "json") printJson(output, all);
  else {
    const rows = all.map(({ id, url, eventTypes, state, disabledReason, failingSince, description }) => ({
      id,
      url,
      types: eventTypes.length === 0 ? "all" : eventTypes.join(","),
      state: state === "disabled" ? `disabled: ${disabledReason}` : failingSince === null ? state : "failing",
      description,
    }));
    printRows(output, ["id", "url", "types", "state", "description"], rows);
  }
  return exitCodes.ok;
}

export async function endpointShow({ environment, output, id }: OnOne): Promise<ExitCode> {
  const endpoint = endpointView.parse(await apiClient(environment)("GET", pathOf(id)));
  if (output.format === "json") printJson(output, endpoint);
  else printFields(output, endpoint);
  return exitCodes.ok;
}

interface SecretFlags {
  readonly kind?: "v1" | "v1a";
  readonly secretFile?: string;
}

export interface EndpointFlags extends SecretFlags {
  readonly types?: readonly string[];
  readonly description?: string;
  readonly settingsFile?: string;
}

export async function endpointCreate(
  command: EndpointCommand & { readonly url: string; readonly flags: EndpointFlags },
): Promise<ExitCode> {
  const { environment, output, url, flags } = command;
  const { types: eventTypes, description } = flags;
  const body = { ...settingsOf(flags), url, eventTypes, description, secret: secretOf(flags) };
  return printMade(output, await apiClient(environment)("POST", "/endpoints", body));
}

export async function endpointSwitch({
  environment,
  output,
  id,
  turn,
}: OnOne & { readonly turn: "enable" | "disable" }): Promise<ExitCode> {
  const endpoint = endpointView.parse(await apiClient(environment)("POST", `${pathOf(id)}/${turn}`));
  if (output.format === "json") printJson(output, endpoint);
  else say(output, `${id} is ${endpoint.state}`);
  return exitCodes.ok;
}

export async function endpointDelete({ environment, output, id }: OnOne): Promise<ExitCode> {
  await apiClient(environment)("DELETE", pathOf(id));
  say(output, `${id} is deleted`);
  return exitCodes.ok;
}

export async function endpointRotate(
  command: OnOne & { readonly flags: SecretFlags & { readonly overlap: number } },
): Promise<ExitCode> {
  const { environment, output, id, flags } = command;
  const body = { ...secretOf(flags), overlapSeconds: flags.overlap };
  return printMade(output, await apiClient(environment)("POST", `${pathOf(id)}/rotate`, body));
}

export async function endpointTest(
  command: OnOne & { readonly type?: string; readonly payload?: string },
): Promise<ExitCode> {
  const { environment, output, id, type: eventType, payload } = command;
  const body = { eventType, ...(payload === undefined ? {} : { payload: jsonOf("--payload", payload) }) };
  const sent = endpointTestAnswer.parse(await apiClient(environment)("POST", `${pathOf(id)}/test`, body));
  if (output.format === "json") printJson(output, sent);
  else say(output, `under way; see it, once it was tried, with: warren endpoint delivery ${sent.deliveryId}`);
  return exitCodes.ok;
}

export interface DeliveryFlags {
  readonly state?: string;
  readonly type?: string;
  readonly event?: string;
  readonly since?: Date;
  readonly limit: number;
  readonly cursor?: string;
}

export async function deliveryList(
  command: EndpointCommand & { readonly id: string | undefined; readonly flags: DeliveryFlags },
): Promise<ExitCode> {
  const { environment, output, id: endpointId, flags } = command;
  const { state, type: eventType, event: eventId, since, limit, cursor } = flags;
  const query = new URLSearchParams();
  const asked = { endpointId, state, eventType, eventId, since: since?.toISOString(), limit, cursor };
  for (const [name, value] of Object.entries(asked)) if (value !== undefined) query.set(name, String(value));
  const page = deliveries.parse(await apiClient(environment)("GET", `/deliveries?${query.toString()}`));
  if (output.format === "json") printJson(output, page);
  else {
    const rows = page.items.map(({ id, createdAt, endpointId: to, eventType: type, eventId: event, ...delivery }) => ({
      id,
      created: createdAt,
      endpoint: to,
      type,
      event,
      state: delivery.reason === null ? delivery.state : `${delivery.state}: ${delivery.reason}`,
      tries: delivery.attempts,
      next: delivery.nextAt ?? "",
    }));
    printRows(output, ["id", "created", "endpoint", "type", "event", "state", "tries", "next"], rows);
    if (page.nextCursor !== null) say(output, `more: --cursor ${page.nextCursor}`);
  }
  return exitCodes.ok;
}

/** With its latest tries, 50 at most. */
export async function deliveryShow({ environment, output, id }: OnOne): Promise<ExitCode> {
  const call = apiClient(environment);
  const at = `/deliveries/${encodeURIComponent(id)}`;
  const { attempts: tries, ...delivery } = deliveryDetail.parse(await call("GET", at));
  const { items } = attempts.parse(await call("GET", `${at}/attempts`));
  if (output.format === "json") printJson(output, { ...delivery, attempts: items });
  else {
    const lines = items.map((one) => ({ field: `try ${one.number} of ${tries}`, value: tryText(one) }));
    printFields(output, delivery, lines);
  }
  return exitCodes.ok;
}

function tryText({ outcome, reason, detail, startedAt, durationMs, response }: AttemptView): string {
  const took = durationMs === null ? [] : [`${durationMs} ms`];
  const answer = response === null ? [] : [`answered ${response.status}`, response.body];
  const why = [reason, detail].filter((part) => part !== null);
  return [`${outcome} at ${startedAt}`, ...took, ...why, ...answer].filter((part) => part !== "").join(", ");
}

export async function deliveryResend({ environment, output, id }: OnOne): Promise<ExitCode> {
  const answer = await apiClient(environment)("POST", `/deliveries/${encodeURIComponent(id)}/retry`);
  const delivery = deliveryView.parse(answer);
  if (output.format === "json") printJson(output, delivery);
  else say(output, `${id} is sent again; see it with: warren endpoint delivery ${id}`);
  return exitCodes.ok;
}

export async function endpointRetry(
  command: OnOne & { readonly since: Date; readonly limit?: number },
): Promise<ExitCode> {
  const { environment, output, id, since, limit } = command;
  const body = { since: since.toISOString(), limit };
  const answer = endpointRetryAnswer.parse(await apiClient(environment)("POST", `${pathOf(id)}/retry`, body));
  if (output.format === "json") printJson(output, answer);
  else say(output, `${answer.retried} deliveries are sent again; see them with: warren endpoint deliveries ${id}`);
  return exitCodes.ok;
}

function secretOf({ kind, secretFile }: SecretFlags): { readonly kind?: string; readonly secret?: string } {
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(secretFile === undefined ? {} : { secret: textOf("--secret-file", secretFile) }),
  };
}

function settingsOf({ settingsFile }: EndpointFlags): object {
  if (settingsFile === undefined) return {};
  const settings = jsonOf("--settings-file", textOf("--settings-file", settingsFile));
  if (typeof settings === "object" && settings !== null && !Array.isArray(settings)) return settings;
  throw new WarrenError("CONFIG_INVALID", "--settings-file holds no JSON object");
}

function printMade(output: Output, answer: unknown): ExitCode {
  const made = endpointWithSecret.parse(answer);
  if (output.format === "json") printJson(output, made);
  else {
    say(output, `${made.endpoint.id} sends to ${made.endpoint.url}`);
    if (made.secret !== null) say(output, `secret, shown this once: ${made.secret}`);
    if (made.publicKey !== null) say(output, `public key: ${made.publicKey}`);
  }
  return exitCodes.ok;
}
