import type { AmqpSession } from "@warren/amqp";
import type { CancelAnswer, JobRecord, Ledger, RetryOrder } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { prepare } from "../client.ts";
import type { JobDefinition } from "../define.ts";
import { JobOptionError } from "../errors.ts";
import { parseOptions } from "../options.ts";
import { sealPayload } from "../payloads/payload.ts";
import type { Payloads } from "../payloads/seal.ts";
import { hintCancels } from "./control-channel.ts";
import { assertDone, assertRetried } from "./refusals.ts";
import {
  type CancelOptions,
  cancelOptions,
  type DiscardOptions,
  discardOptions,
  jobId,
  type RetryOptions,
  retryOptions,
} from "./schemas.ts";

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
   * Runs a dead or cancelled job again, under its id, with its errors so far and its attempts anew.
   * @throws JobError `JOB_NOT_FOUND`, `JOB_UNFINISHED`, `JOB_HAS_SUCCEEDED`, `JOB_DISCARDED`, `JOB_IN_FLOW`, `JOB_KEY_TAKEN`.
   * @throws JobDataError when the new payload does not fit the definition; JobOptionError.
   */
  retry<Definition extends JobDefinition>(id: string, options?: RetryOptions<Definition>): Promise<void>;
  /**
   * Puts a dead or cancelled job aside for good: it stays in history, and is listed only on request. Discarding it twice is no error.
   * @throws JobError `JOB_NOT_FOUND`, `JOB_UNFINISHED`, `JOB_HAS_SUCCEEDED`; JobOptionError.
   */
  discard(id: string, options: DiscardOptions): Promise<void>;
  /** Takes a discard back. @throws as `discard`. */
  restore(id: string, options: DiscardOptions): Promise<void>;
}

/** Opens the control surface. Dispose it when done. */
export function createControl({ ledger, session, payloads = {}, log }: ControlOptions): Control {
  const publisher = session?.publisher();

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
    async [Symbol.asyncDispose]() {
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
