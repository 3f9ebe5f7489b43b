import { isDeepStrictEqual } from "node:util";
import type { Row } from "../postgres/database.ts";
import type { Rate } from "./bucket.ts";

/** What a queue may do. Without anything in it the queue is direct. */
export interface QueuePolicy {
  /** Jobs that run at once, over all workers. */
  readonly concurrency?: number;
  /** Starts over all workers. */
  readonly rate?: Rate;
  /** Jobs of one key that run at once. */
  readonly keyConcurrency?: number;
  /** Starts of each key. */
  readonly keyRate?: Rate;
  /** Of a key the next job starts only after the one before is finished for good. */
  readonly order?: "strict";
  /** Keys take turns. */
  readonly fairness?: true;
  /** Jobs wait in the ledger for no other reason than that higher priorities may overtake them. */
  readonly priority?: true;
}

/** What a single key may do instead. */
export interface KeyPolicy {
  readonly concurrency?: number;
  readonly rate?: Rate;
}

/** A change: what is not named stays, `null` removes. */
export type PolicyChange<Policy> = { readonly [Field in keyof Policy]?: Policy[Field] | null };

export interface KeyLimits extends KeyPolicy {
  readonly key: string;
  readonly paused: boolean;
}

/** A queue's policy as the ledger has it, with what is paused. */
export interface QueueLimits {
  readonly queue: string;
  readonly policy: QueuePolicy;
  readonly paused: boolean;
  readonly pausedJobs: readonly string[];
  /** Keys that differ from the policy, or are paused. */
  readonly keys: readonly KeyLimits[];
  readonly changedAt: Date;
}

/** Applies a change. Pure. */
export function changed<Policy extends object>(policy: Policy, change: PolicyChange<Policy>): Policy {
  const entries = Object.entries({ ...policy, ...change }).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(entries) as Policy;
}

export const samePolicy = (left: QueuePolicy | KeyPolicy, right: QueuePolicy | KeyPolicy): boolean =>
  isDeepStrictEqual({ ...left }, { ...right });

/** The values of the columns from `concurrency` to `priority`, in that order. */
export function policyColumns(policy: QueuePolicy): readonly unknown[] {
  const { concurrency, rate, keyConcurrency, keyRate, order, fairness, priority } = policy;
  return [
    concurrency ?? null,
    ...rateColumns(rate),
    keyConcurrency ?? null,
    ...rateColumns(keyRate),
    order === "strict",
    fairness === true,
    priority === true,
  ];
}

export const rateColumns = (rate: Rate | undefined): readonly unknown[] =>
  rate === undefined ? [null, null, null] : [rate.limit, rate.perMs, rate.burst];

export function policyOf(row: Row): QueuePolicy {
  return changed<QueuePolicy>(
    {},
    {
      concurrency: row["concurrency"] as number | null,
      rate: rateOf(row, "rate"),
      keyConcurrency: row["key_concurrency"] as number | null,
      keyRate: rateOf(row, "key_rate"),
      order: row["key_order"] === true ? "strict" : null,
      fairness: row["fairness"] === true ? true : null,
      priority: row["priority"] === true ? true : null,
    },
  );
}

export function keyLimitsOf(row: Row): KeyLimits {
  const policy: KeyPolicy = changed<KeyPolicy>(
    {},
    { concurrency: row["concurrency"] as number | null, rate: rateOf(row, "rate") },
  );
  return { key: String(row["key"]), ...policy, paused: row["paused"] === true };
}

function rateOf(row: Row, prefix: "rate" | "key_rate"): Rate | null {
  const limit = row[`${prefix}_limit`];
  if (limit === null || limit === undefined) return null;
  return { limit: Number(limit), perMs: Number(row[`${prefix}_per_ms`]), burst: Number(row[`${prefix}_burst`]) };
}
