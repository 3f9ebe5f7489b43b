import type { JobDefinition, ParsedPayloadOf, PayloadOf, ResultOf } from "../define.ts";
import type { EnqueueOptions } from "../enqueue/draft.ts";
import type { Enqueued } from "../enqueue/writer.ts";
import type { JobFlow } from "../flows/job-flow.ts";
import type { LogLevel, ThreadJobFacts } from "./protocol.ts";

/** Writes through the worker's logger, with the job's ids. */
export type ThreadLog = Readonly<
  Record<LogLevel, { (fields: object, message?: string): void; (message: string): void }>
>;

/** What a handler in a thread gets: one attempt of one job. There is no `complete`: transactions do not cross threads. */
export interface ThreadJob<Payload> extends Omit<ThreadJobFacts, "payload"> {
  readonly payload: Payload;
  /** Aborts with a `JobAbortedError`, as in the worker. It is heard only when the event loop of the thread turns. */
  readonly signal: AbortSignal;
  /**
   * For loops that never wait: looks for an abort without the event loop, and throws it. Call it every few milliseconds.
   * @throws JobAbortedError.
   */
  throwIfAborted(): void;
  readonly log: ThreadLog;
  /** As `job.progress` in the worker. @throws JobDataError `JOB_PROGRESS_INVALID`. */
  progress(value: unknown): void;
  /** As `job.note` in the worker. @throws JobDataError `JOB_PROGRESS_INVALID`. */
  note(text: string): void;
  /** As `job.enqueue`, for the definitions named in `definitions`. `tx` cannot be given. */
  enqueue<Definition extends JobDefinition>(
    definition: Definition,
    payload: PayloadOf<Definition>,
    options?: Omit<EnqueueOptions, "tx">,
  ): Promise<Enqueued>;
  /** As `job.flow`, to read; for the definitions named in `definitions`. Adding and waiting belong to handlers in the worker. */
  readonly flow: Pick<JobFlow, "resultOf" | "outcomeOf" | "parents">;
}

/** The type of the function that the file of `handleInThread` exports: `export const run: ThreadHandler<typeof render> = …`. */
export type ThreadHandler<Definition extends JobDefinition> = (
  job: ThreadJob<ParsedPayloadOf<Definition>>,
) => ResultOf<Definition> | Promise<ResultOf<Definition>>;
