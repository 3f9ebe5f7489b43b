import {
  replayCount,
  replayPage,
  replayView,
  requestDetail,
  requestPage,
  runAnswer,
  webhookEventDetail,
  webhookEventPage,
} from "@warren/contracts";
import type { Environment } from "@warren/service";
import type { z } from "zod";
import { apiClient } from "./api.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { type Output, printFields, printJson, printRows, say } from "./output.ts";

export interface WebhookCommand {
  readonly environment: Environment;
  readonly output: Output;
}

/** What the command line says of a filter: the API's own names. */
export interface WebhookFlags {
  readonly source?: string;
  readonly status?: string;
  readonly cause?: string;
  readonly state?: string;
  readonly type?: string;
  readonly eventId?: string;
  readonly subject?: string;
  readonly routing?: string;
  readonly from?: Date;
  readonly before?: Date;
  readonly body?: readonly string[];
  readonly limit: number;
  readonly cursor?: string;
}

function queryOf(flags: WebhookFlags): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(flags) as [string, unknown][]) {
    const values = Array.isArray(value) ? value : [value];
    for (const one of values) query.append(name, one instanceof Date ? one.toISOString() : String(one));
  }
  return query.toString();
}

export async function requestList(command: WebhookCommand & { readonly flags: WebhookFlags }): Promise<ExitCode> {
  const { environment, output, flags } = command;
  const page = requestPage.parse(await apiClient(environment)("GET", `/requests?${queryOf(flags)}`));
  if (output.format === "json") printJson(output, page);
  else {
    const rows = page.items.map(({ id, receivedAt, source, status, cause, eventType, eventId, subject }) => ({
      id,
      received: receivedAt,
      source,
      status: cause === null ? status : `${status}: ${cause}`,
      type: eventType ?? "",
      event: eventId ?? "",
      subject: subject ?? "",
    }));
    printRows(output, ["id", "received", "source", "status", "type", "event", "subject"], rows);
    sayMore(output, page);
  }
  return exitCodes.ok;
}

export async function eventList(command: WebhookCommand & { readonly flags: WebhookFlags }): Promise<ExitCode> {
  const { environment, output, flags } = command;
  const page = webhookEventPage.parse(await apiClient(environment)("GET", `/events?${queryOf(flags)}`));
  if (output.format === "json") printJson(output, page);
  else {
    const rows = page.items.map(({ id, receivedAt, source, type, eventId, subject, state, jobs }) => ({
      id,
      received: receivedAt,
      source,
      type: type ?? "",
      event: eventId ?? "",
      subject: subject ?? "",
      state,
      jobs: jobs.length,
    }));
    printRows(output, ["id", "received", "source", "type", "event", "subject", "state", "jobs"], rows);
    sayMore(output, page);
  }
  return exitCodes.ok;
}

function sayMore(
  output: Output,
  { looked, nextCursor }: Pick<z.infer<typeof requestPage>, "looked" | "nextCursor">,
): void {
  if (nextCursor !== null) say(output, `looked at ${looked.requests} requests; more: --cursor ${nextCursor}`);
}

export interface OnOne extends WebhookCommand {
  readonly id: string;
}

export async function requestShow({
  environment,
  output,
  id,
  reveal = false,
}: OnOne & { readonly reveal?: boolean }): Promise<ExitCode> {
  const path = `/requests/${encodeURIComponent(id)}?reveal=${String(reveal)}`;
  const request = requestDetail.parse(await apiClient(environment)("GET", path));
  if (output.format === "json") printJson(output, request);
  else {
    const { headers, body, ...rest } = request;
    printFields(output, rest, [
      ...headers.map(({ name, value }) => ({ field: `header ${name}`, value })),
      { field: "body", value: body === null ? "not kept" : (body.text ?? body.base64 ?? "above 4 MiB") },
    ]);
  }
  return exitCodes.ok;
}

export async function eventShow({ environment, output, id }: OnOne): Promise<ExitCode> {
  const event = webhookEventDetail.parse(await apiClient(environment)("GET", `/events/${encodeURIComponent(id)}`));
  if (output.format === "json") printJson(output, event);
  else printFields(output, event);
  return exitCodes.ok;
}

export interface RunFlags {
  readonly why: string;
  readonly by: string;
  readonly mode?: string;
}

export async function eventReplay({ flags, ...one }: OnOne & { readonly flags: RunFlags }): Promise<ExitCode> {
  const { why: reason, by, mode } = flags;
  return act(one, `/events/${encodeURIComponent(one.id)}/replay`, { reason, by, mode });
}

export async function requestVerify({ flags, ...one }: OnOne & { readonly flags: RunFlags }): Promise<ExitCode> {
  const { why: reason, by } = flags;
  return act(one, `/requests/${encodeURIComponent(one.id)}/verify`, { reason, by });
}

async function act(
  { environment, output, id }: OnOne,
  path: string,
  body: Readonly<Record<string, unknown>>,
): Promise<ExitCode> {
  const answer = runAnswer.parse(await apiClient(environment)("POST", path, body));
  if (output.format === "json") printJson(output, answer);
  else if (answer.kind === "skipped") {
    say(output, `${id} is left alone: ${answer.why}${answer.cause === null ? "" : ` (${answer.cause})`}`);
  } else {
    const { made, revived, events } = answer;
    say(output, `${id}: ${made.length} jobs made, ${revived.length} brought back, ${events} events to the broker`);
  }
  return exitCodes.ok;
}

export interface ReplayFlags extends RunFlags, Omit<WebhookFlags, "limit" | "cursor" | "body" | "status"> {
  readonly action: "replay" | "verify";
  readonly rate?: number;
  readonly most?: number;
  readonly dryRun?: boolean;
}

export async function replayMany(command: WebhookCommand & { readonly flags: ReplayFlags }): Promise<ExitCode> {
  const { environment, output, flags } = command;
  const { why: reason, by, mode, action, rate, most, dryRun, state, cause, ...filter } = flags;
  const answer = await apiClient(environment)("POST", "/replays", {
    action,
    mode,
    reason,
    by,
    rate,
    most,
    dryRun,
    filter: { ...filter, states: state?.split(","), causes: cause?.split(",") },
  });
  if (output.format === "json") printJson(output, answer);
  else if (dryRun === true) {
    const { matched, looked } = replayCount.parse(answer);
    say(output, `${matched} would be taken${looked.complete ? "" : `, of ${looked.requests} looked at so far`}`);
  } else say(output, `replay ${replayView.parse(answer).id} is made; see it with: warren webhook replays`);
  return exitCodes.ok;
}

export async function replayList({ environment, output }: WebhookCommand): Promise<ExitCode> {
  const page = replayPage.parse(await apiClient(environment)("GET", "/replays"));
  if (output.format === "json") printJson(output, page.items);
  else {
    const rows = page.items.map(({ id, action, mode, state, matched, changed, skips, by, reason }) => ({
      id,
      action: action === "verify" ? action : `${action} ${mode}`,
      state,
      matched,
      changed,
      skips: Object.entries(skips)
        .map(([why, count]) => `${why} ${count}`)
        .join(", "),
      by,
      reason,
    }));
    printRows(output, ["id", "action", "state", "matched", "changed", "skips", "by", "reason"], rows);
  }
  return exitCodes.ok;
}

export async function replayTurn({
  environment,
  output,
  id,
  turn,
  by,
}: OnOne & { readonly turn: "pause" | "resume" | "abort"; readonly by: string }): Promise<ExitCode> {
  const path = `/replays/${encodeURIComponent(id)}/${turn}`;
  const replay = replayView.parse(await apiClient(environment)("POST", path, { by }));
  if (output.format === "json") printJson(output, replay);
  else say(output, `replay ${id} is ${replay.state}; ${replay.changed} of ${replay.matched} changed`);
  return exitCodes.ok;
}
