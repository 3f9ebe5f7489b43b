import type { EnqueueResult, Ledger, NewJob, RunSql } from "@warren/ledger";
import type { Metrics } from "@warren/observability";
import type { JobDefinition } from "../define.ts";
import type { Announced } from "./announcer.ts";

export type Enqueued = EnqueueResult;

export interface WriterOptions {
  readonly ledger: Pick<Ledger, "enqueue" | "enqueueIn" | "transaction">;
  /** Publishes what is committed and ready; absent: the dispatcher does. */
  readonly announcer: { announce(jobs: readonly Announced[]): void } | undefined;
  readonly metrics: Metrics;
}

/** Writes the rows of one call, all of one definition; results in their order. */
export type Write = (definition: JobDefinition, jobs: readonly NewJob[], tx?: RunSql) => Promise<readonly Enqueued[]>;

const maxJobsPerStatement = 1_000;

/** Puts rows into the ledger, those of one call together or not at all, then announces and counts them. */
export function createWriter({ ledger, announcer, metrics }: WriterOptions): Write {
  const enqueued = metrics.counter({
    name: "warren_jobs_enqueued_total",
    help: "Jobs added to the ledger by this process; duplicates of a known id are counted apart",
    labels: ["queue", "job", "created"],
  });

  /** One statement, or one transaction of several. */
  function writeCommitted(jobs: readonly NewJob[]): Promise<readonly Enqueued[]> {
    if (jobs.length === 0) return Promise.resolve([]);
    if (jobs.length <= maxJobsPerStatement) return ledger.enqueue(jobs);
    return ledger.transaction((run) => writeIn(run, jobs));
  }

  async function writeIn(run: RunSql, jobs: readonly NewJob[]): Promise<readonly Enqueued[]> {
    const results: Enqueued[] = [];
    for (let start = 0; start < jobs.length; start += maxJobsPerStatement) {
      for (const result of await ledger.enqueueIn(run, jobs.slice(start, start + maxJobsPerStatement)))
        results.push(result);
    }
    return results;
  }

  function announceReady({ queue, bundleSize }: JobDefinition, written: readonly Enqueued[]): void {
    announcer?.announce(
      written
        .filter((one) => one.created && one.state === "ready" && one.waits !== true)
        .map(({ id }) => ({ id, queue, bundleSize })),
    );
  }

  return async (definition, jobs, tx) => {
    const results = await (tx === undefined ? writeCommitted(jobs) : writeIn(tx, jobs));
    if (tx === undefined) announceReady(definition, results);
    const { queue, name } = definition;
    const created = results.reduce((sum, result) => sum + (result.created ? 1 : 0), 0);
    if (created > 0) enqueued.inc({ queue, job: name, created: "yes" }, created);
    if (created < results.length) enqueued.inc({ queue, job: name, created: "no" }, results.length - created);
    return results;
  };
}
