import type { Row } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { parseKeptFilter, type RequestFilter } from "./request-filter.ts";
import type { RunAnswer, RunMode } from "./run-events.ts";

export type ReplayAction = "replay" | "verify";
export type ReplayState = "running" | "paused" | "done" | "aborted";

/** Something done to many requests: who does what to which, and how far it is. Kept as the audit of it. */
export interface Replay {
  readonly id: string;
  /** `replay`: accepted events run again. `verify`: rejected requests are judged again, and taken where they are authentic now. */
  readonly action: ReplayAction;
  readonly mode: RunMode;
  readonly state: ReplayState;
  /** As it was when the replay was made; its times are fixed, so that nothing that comes later is touched. */
  readonly filter: RequestFilter;
  readonly by: string;
  readonly reason: string;
  /** Events a second at most. */
  readonly rate: number;
  /** No more is done while so many of its jobs wait or run: live traffic never stands behind more of them. */
  readonly mostWaiting: number;
  /** Takes at most so many, the oldest first. */
  readonly most: number | undefined;
  /** Requests that were looked at so far; those that matched; of these, those to which something was done and those left alone. */
  readonly looked: number;
  readonly matched: number;
  readonly changed: number;
  readonly skipped: number;
  /** Why events were left alone: how many for each reason, and some of their ids. */
  readonly skips: Readonly<Record<string, number>>;
  readonly examples: Readonly<Record<string, readonly string[]>>;
  readonly createdAt: Date;
  readonly finishedAt: Date | undefined;
  /** Who paused or aborted it last. */
  readonly endedBy: string | undefined;
}

/** A replay with what only its steps need to know. */
export interface ReplayTurn {
  readonly replay: Replay;
  readonly fromId: string;
  readonly beforeId: string;
  readonly position: string;
  readonly waiting: readonly string[];
}

export interface NewReplayRow {
  readonly id: string;
  readonly action: ReplayAction;
  readonly mode: RunMode;
  readonly filter: string;
  readonly by: string;
  readonly reason: string;
  readonly rate: number;
  readonly mostWaiting: number;
  readonly most: number | undefined;
  readonly fromId: string;
  readonly beforeId: string;
  readonly position: string;
}

export async function insertReplay(run: RunSql, table: TableName, row: NewReplayRow): Promise<Replay> {
  const { rows } = await run(
    `insert into ${table("webhook_operations")}
       (id, action, mode, filter, requested_by, reason, rate, most_waiting, most, from_id, before_id, position)
     values ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8, $9, $10, $11, $12) returning *`,
    [
      row.id,
      row.action,
      row.mode,
      row.filter,
      row.by,
      row.reason,
      row.rate,
      row.mostWaiting,
      row.most ?? null,
      row.fromId,
      row.beforeId,
      row.position,
    ],
  );
  const [inserted] = rows;
  if (inserted === undefined) throw new RangeError("an insert returned no row");
  return replayOf(inserted);
}

export async function findReplay(run: RunSql, table: TableName, id: string): Promise<Replay | undefined> {
  const { rows } = await run(`select * from ${table("webhook_operations")} where id = $1::uuid`, [id]);
  return rows[0] === undefined ? undefined : replayOf(rows[0]);
}

/** The latest first. Index: webhook_operations (id). */
export async function listReplays(
  run: RunSql,
  table: TableName,
  { limit, cursor }: { readonly limit: number; readonly cursor: string | undefined },
): Promise<readonly Replay[]> {
  const { rows } = await run(
    `select * from ${table("webhook_operations")} where $2::uuid is null or id < $2::uuid order by id desc limit $1`,
    [limit, cursor ?? null],
  );
  return rows.map(replayOf);
}

/** `undefined`: unknown. One that has ended stays as it is. Waits for a step under way. */
export async function setReplayState(
  run: RunSql,
  table: TableName,
  { id, state, by }: { readonly id: string; readonly state: "running" | "paused" | "aborted"; readonly by: string },
): Promise<Replay | undefined> {
  await run(
    `update ${table("webhook_operations")}
     set state = $2, ended_by = $3, finished_at = case when $2 = 'aborted' then clock_timestamp() end
     where id = $1::uuid and finished_at is null`,
    [id, state, by],
  );
  return findReplay(run, table, id);
}

/** A replay whose turn it is. Locks nothing: `lockTurn` decides. Index: webhook_operations_open (next_batch_at). */
export async function nextTurn(run: RunSql, table: TableName): Promise<ReplayTurn | undefined> {
  const { rows } = await run(
    `select * from ${table("webhook_operations")} where state = 'running' and next_batch_at <= clock_timestamp()
     order by next_batch_at limit 1`,
    [],
  );
  return rows[0] === undefined ? undefined : turnOf(rows[0]);
}

/** Takes the turn until the transaction ends; `false`: somebody else has it, or has moved on. */
export async function lockTurn(run: RunSql, table: TableName, { replay, position }: ReplayTurn): Promise<boolean> {
  const { rows } = await run(
    `select from ${table("webhook_operations")}
     where id = $1 and position = $2 and state = 'running' and next_batch_at <= clock_timestamp() for update skip locked`,
    [replay.id, position],
  );
  return rows.length > 0;
}

/** Its jobs that still wait or run. Index: jobs (id). */
export async function stillWaiting(run: RunSql, table: TableName, ids: readonly string[]): Promise<readonly string[]> {
  if (ids.length === 0) return [];
  const { rows } = await run(
    `select id from ${table("jobs")} where id = any ($1::uuid[]) and (state || '') in ('ready', 'running')`,
    [ids],
  );
  return rows.map((row) => String(row["id"]));
}

export interface TurnDone {
  readonly position: string;
  readonly looked: number;
  readonly answers: readonly RunAnswer[];
  readonly waiting: readonly string[];
  readonly pauseMs: number;
  readonly isDone: boolean;
}

const examplesKept = 5;

export async function finishTurn(run: RunSql, table: TableName, turn: ReplayTurn, done: TurnDone): Promise<void> {
  const { replay } = turn;
  const skips: Record<string, number> = { ...replay.skips };
  const examples: Record<string, readonly string[]> = { ...replay.examples };
  const skipped = done.answers.flatMap((answer) => (answer.kind === "skipped" ? [answer] : []));
  for (const { id, why } of skipped) {
    skips[why] = (skips[why] ?? 0) + 1;
    const known = examples[why] ?? [];
    if (known.length < examplesKept) examples[why] = [...known, id];
  }
  await run(
    `update ${table("webhook_operations")}
     set position = $2, looked = looked + $3, matched = matched + $4, skipped = skipped + $5, changed = changed + $4 - $5,
       skips = $6::text::jsonb, examples = $7::text::jsonb, waiting = $8::uuid[],
       next_batch_at = clock_timestamp() + $9::double precision * interval '1 millisecond',
       state = case when $10::boolean then 'done' else state end,
       finished_at = case when $10::boolean then clock_timestamp() end
     where id = $1`,
    [
      replay.id,
      done.position,
      done.looked,
      done.answers.length,
      skipped.length,
      JSON.stringify(skips),
      JSON.stringify(examples),
      done.waiting,
      done.pauseMs,
      done.isDone,
    ],
  );
}

function turnOf(row: Row): ReplayTurn {
  return {
    replay: replayOf(row),
    fromId: String(row["from_id"]),
    beforeId: String(row["before_id"]),
    position: String(row["position"]),
    waiting: row["waiting"] as readonly string[],
  };
}

function replayOf(row: Row): Replay {
  const { finished_at: finishedAt, ended_by: endedBy, most } = row;
  return {
    id: String(row["id"]),
    action: row["action"] as ReplayAction,
    mode: row["mode"] as RunMode,
    state: row["state"] as ReplayState,
    filter: parseKeptFilter(row["filter"]),
    by: String(row["requested_by"]),
    reason: String(row["reason"]),
    rate: Number(row["rate"]),
    mostWaiting: Number(row["most_waiting"]),
    most: typeof most === "number" ? most : undefined,
    looked: Number(row["looked"]),
    matched: Number(row["matched"]),
    changed: Number(row["changed"]),
    skipped: Number(row["skipped"]),
    skips: row["skips"] as Readonly<Record<string, number>>,
    examples: row["examples"] as Readonly<Record<string, readonly string[]>>,
    createdAt: row["created_at"] as Date,
    finishedAt: finishedAt instanceof Date ? finishedAt : undefined,
    endedBy: typeof endedBy === "string" ? endedBy : undefined,
  };
}

/** The requests of a filter that an action can take. */
export function takenBy(action: ReplayAction, filter: RequestFilter): RequestFilter {
  return { ...filter, statuses: [action === "replay" ? "accepted" : "rejected"] };
}
