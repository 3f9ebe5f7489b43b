import type { TableName } from "./postgres/sql.ts";

/**
 * Expressions over `jobs.gate`: 0 direct, 1 waits for its release, 2 released, 3 has begun and waits again, 4 set aside by a pause. The
 * sub-selects on policies have no parameters, so that a statement evaluates each once, when the first row asks.
 */

/** Jobs on their way to a worker: direct ones, and released ones. */
export const onItsWay = (job: string): string => `${job}gate in (0, 2)`;

/** Jobs that a dispatcher may release, as the predicates of `jobs_waiting` and `jobs_waiting_keys` have it. */
export const waiting = (job: string): string =>
  `${job}state = 'ready' and ${job}held_by is null and ${job}gate in (1, 3)`;

/** The key as the indexes have it: jobs without one share the empty key. */
export const keyOf = (job: string): string => `(coalesce(${job}limit_key, '') collate "C")`;

const queuesWith = (table: TableName, flag: "governed" | "watched" | "key_order"): string =>
  `(array(select p.queue from ${table("queue_policies")} p where p.${flag}))`;

/** The gate of a job that becomes ready: enqueued, due, unblocked. `gate` is what it has, where it has one. */
export const gateOfReady = (table: TableName, queue: string, gate?: string): string => {
  const waits = gate === undefined ? "1" : `case ${gate} when 3 then 3 else 1 end`;
  return `case when ${queue} = any ${queuesWith(table, "governed")} then ${waits} else 0 end`;
};

/** The gate of a job that was claimed or released and goes back: it needs another release, and in a strict order stays its key's first. */
export const gateOfReturned = (table: TableName, job: string): string =>
  `case when ${job}gate = 0 then 0 when ${job}queue = any ${queuesWith(table, "key_order")} then 3 else 1 end`;

/** Whether a claim may take a job without a look at the policy of its queue. */
export const isFree = (table: TableName, job: string): string =>
  `case ${job}gate
      when 0 then ${job}queue <> all ${queuesWith(table, "governed")}
      when 2 then ${job}queue <> all ${queuesWith(table, "watched")}
      else false
    end`;

/** Whether the policy of a job's queue, which must be there, pauses it. */
export const isPaused = (
  table: TableName,
  { job, policy }: { readonly job: string; readonly policy: string },
): string =>
  `(${policy}.paused or ${job}.name = any (${policy}.paused_jobs) or (${policy}.keyed and exists (
      select from ${table("queue_key_policies")} k where k.queue = ${job}.queue and k.key = ${job}.limit_key and k.paused)))`;
