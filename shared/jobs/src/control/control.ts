import type { AmqpSession } from "@warren/amqp";
import type {
  CancelAnswer,
  JobCounts,
  JobEnd,
  JobFilter,
  JobRecord,
  Ledger,
  LinePage,
  ListedJobs,
  Progress,
  RetryOrder,
} from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { JobDefinition } from "../define.ts";
import { prepare } from "../enqueue/draft.ts";
import { JobError, JobOptionError } from "../errors.ts";
import { parseOptions } from "../options.ts";
import { sealPayload } from "../payloads/payload.ts";
import type { Payloads } from "../payloads/seal.ts";
import { viewJob } from "../payloads/view.ts";
import { type Bulk, createBulk } from "./bulk.ts";
import { hintCancels, sendHint } from "./control-channel.ts";
import { createFlowControl, type FlowControl } from "./flows.ts";
import { assertDone, assertRetried } from "./refusals.ts";
import {
  type CancelOptions,
  cancelOptions,
  type DiscardOptions,
  discardOptions,
  jobId,
  type LineOptions,
  type ListOptions,
  lineOptions,
  listOptions,
  type RetryOptions,
  retryOptions,
  type WaitOptions,
  type WatchOptions,
  waitOptions,
  watchOptions,
} from "./schemas.ts";
import { createWaiting } from "./wait.ts";
import { type JobEvent, watchJobs } from "./watch.ts";
import { createWatching } from "./watching.ts";

export interface ControlOptions {
  readonly ledger: Ledger;
  /** With it, workers hear of a cancel at once, and not only at their next heartbeat. */
  readonly session?: Pick<AmqpSession, "publisher" | "listen" | "declare">;
  /** The keys and the store that edited payloads are sealed with, and results opened. Needed only where payloads are sealed. */
  readonly payloads?: Payloads;
  readonly log: Logger;
}

/** What people and other processes do to jobs. Works from anywhere the ledger can be reached; the broker may be down. */
export interface Control extends AsyncDisposable {
  /**
   * Cancels a job, whatever it is doing. One that waits is over at once. Of one that runs, the signal aborts with `JOB_CANCELLED` (within a
   * second, or at the worker's next heartbeat while the broker is away), its handler cleans up, and unless it succeeds all the same, it
   * ends as `cancelled` with who and why. A job that is finished or unknown is an answer, not an error.
   * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
   */
  cancel(id: string, options: CancelOptions): Promise<CancelAnswer>;
  /**
   * Runs a dead or cancelled job again, under its id, with its errors so far and its attempts anew. With one that belongs to a flow come
   * back the jobs of its flow that were cancelled or skipped because of it; the options are for this job alone.
   * @throws JobError `JOB_NOT_FOUND`, `JOB_UNFINISHED`, `JOB_HAS_SUCCEEDED`, `JOB_DISCARDED`, `JOB_KEY_TAKEN`.
   * @throws FlowError `FLOW_NOT_RETRIABLE`, `FLOW_PARENT_FAILED`, `FLOW_NODE_DISCARDED`, `FLOW_HISTORY_GONE`, `FLOW_NOT_FOUND`.
   * @throws JobDataError when the new payload does not fit the definition; JobOptionError.
   */
  retry<Definition extends JobDefinition>(id: string, options?: RetryOptions<Definition>): Promise<void>;
  /**
   * Puts a dead or cancelled job aside for good: it stays in history, and is listed only on request. Discarding it twice is no error.
   * Of a flow's job the flow stays as it is, but is not retried while that job would have to run again (`FLOW_NODE_DISCARDED`).
   * @throws JobError `JOB_NOT_FOUND`, `JOB_UNFINISHED`, `JOB_HAS_SUCCEEDED`; JobOptionError.
   */
  discard(id: string, options: DiscardOptions): Promise<void>;
  /** Takes a discard back. @throws as `discard`. */
  restore(id: string, options: DiscardOptions): Promise<void>;
  /** Cancels, retries, discards or restores many jobs. */
  readonly bulk: Bulk;
  /** Cancels and retries flows. */
  readonly flows: FlowControl;

  /** Everything about one job but its lines: its record, in plain where `payloads` can open it, and its progress. `undefined`: unknown. */
  job(id: string): Promise<JobDetail | undefined>;
  /** Jobs of any states, newest first, in pages of both directions. Looks at a bounded number of rows, so that a page may be short. */
  list(options?: ListOptions): Promise<ListedJobs>;
  /** How many jobs by queue and state; says whether they were counted or estimated. */
  counts(): Promise<JobCounts>;
  /** What the job wrote with `job.note`, in order. */
  lines(id: string, options?: LineOptions): Promise<LinePage>;
  /** How the job stands, with its result if it has one. */
  result(id: string): Promise<JobEnd>;
  /**
   * Waits until the job has ended, from any process, and answers its result; at once if it has ended before.
   * @throws JobError `JOB_DEAD`, `JOB_CANCELLED`, `JOB_NOT_FOUND`, `JOB_RESULT_EXPIRED`, `JOB_WAIT_TIMEOUT`; the signal's reason.
   */
  waitFor(id: string, options?: WaitOptions): Promise<unknown>;
  /**
   * What jobs do, as it happens, in order for each job: for dashboards. Not kept: what happens while nobody watches, or while the broker is
   * away, is not told. @throws JobError `WATCH_NEEDS_SESSION` when the control was opened without a session.
   */
  watch(options?: WatchOptions): AsyncGenerator<JobEvent, void, void>;
}

export interface JobDetail extends JobRecord {
  readonly progress: Progress | undefined;
}

/** Opens the control surface. Dispose it when done. */
export function createControl({ ledger, session, payloads = {}, log }: ControlOptions): Control {
  const publisher = session?.publisher();
  const watching =
    session && createWatching({ ledger, session, log, hint: () => sendHint(publisher, { watch: true }, log) });
  const waiting = createWaiting(ledger, watching, payloads);

  return {
    async cancel(given, options) {
      const id = jobId("cancel", given);
      const { reason, by, tx } = parseOptions("cancel", cancelOptions, options);
      const answers = await ledger.control.cancel([id], { reason, by }, tx);
      // inside a transaction nothing is true before its commit: the workers find it at their next heartbeat
      if (tx === undefined) await hintCancels(publisher, answers, log);
      const [answer] = answers;
      return answer ?? { id, kind: "missing" };
    },
    async retry(given, options = {}) {
      const id = jobId("retry", given);
      const { attempts, tx, edit } = parseOptions("retry", retryOptions, options);
      const order = {
        ...(attempts === undefined ? {} : { attempts }),
        ...(edit === undefined ? {} : { payload: await edited(await ledger.findJob(id), edit, payloads) }),
      };
      assertRetried(await ledger.control.retry([id], order, tx));
    },
    async discard(given, options) {
      const id = jobId("discard", given);
      const { by } = parseOptions("discard", discardOptions, options);
      assertDone("discard", await ledger.control.discard([id], by));
    },
    async restore(given, options) {
      const id = jobId("restore", given);
      const { by } = parseOptions("restore", discardOptions, options);
      assertDone("restore", await ledger.control.restore([id], by));
    },
    bulk: createBulk(ledger),
    flows: createFlowControl({ ledger, publisher, log }),
    async job(given) {
      const id = jobId("job", given);
      const [job, progress] = await Promise.all([ledger.findJob(id), ledger.control.progress.get(id)]);
      return job === undefined ? undefined : { ...(await viewJob(job, payloads)), progress };
    },
    async list(options = {}) {
      const { discarded, limit, cursor, direction, ...filter } = parseOptions("list", listOptions, options);
      return ledger.control.list({ filter: filter as JobFilter, discarded, limit, cursor, direction });
    },
    counts: () => ledger.control.counts(),
    async lines(given, options = {}) {
      const id = jobId("lines", given);
      const { after, limit } = parseOptions("lines", lineOptions, options);
      return ledger.control.progress.lines(id, { after, limit });
    },
    result: async (id) => waiting.end(jobId("result", id)),
    async waitFor(given, options = {}) {
      const id = jobId("waitFor", given);
      const { timeoutMs, signal } = parseOptions("waitFor", waitOptions, options);
      return waiting.wait(id, { timeoutMs, signal });
    },
    watch(options = {}) {
      const { queue, jobId: id, signal } = parseOptions("watch", watchOptions, options);
      if (session === undefined || watching === undefined) {
        throw new JobError("WATCH_NEEDS_SESSION", "watch: the control was opened without a session");
      }
      const watch = { ...(queue === undefined ? {} : { queue }), ...(id === undefined ? {} : { jobId: id }) };
      return watchJobs({ ledger, session, watching }, watch, signal);
    },
    async [Symbol.asyncDispose]() {
      await watching?.[Symbol.asyncDispose]();
      await publisher?.[Symbol.asyncDispose]();
    },
  };
}

/** Another payload for a job, checked like that of a new one and sealed the way its own is. */
async function edited(
  job: JobRecord | undefined,
  { definition, payload }: { readonly definition: JobDefinition; readonly payload: unknown },
  payloads: Payloads,
): Promise<NonNullable<RetryOrder["payload"]>> {
  const { version, attributes } = prepare(definition, payload);
  if (job !== undefined && job.name !== definition.name) {
    throw new JobOptionError("JOB_OPTION_INVALID", `retry: "edit.definition": expected that of ${job.name}`, {
      details: { path: "edit.definition" },
    });
  }
  // of an unknown job nothing is sealed; the ledger answers that it is unknown
  const sealed =
    job === undefined ? { payload, payloadForm: undefined } : await sealPayload(job, payload, payloads, definition);
  return {
    json: JSON.stringify(sealed.payload ?? null),
    form: sealed.payloadForm ?? null,
    version,
    attributes: attributes ?? null,
  };
}
