import { randomUUID } from "node:crypto";
import type { Publisher } from "@warren/amqp";
import {
  type EnqueueResult,
  type JobStart,
  type Ledger,
  type NewJob,
  occurrencePrefix,
  type RunSql,
} from "@warren/ledger";
import { currentContext, type Logger, type Metrics } from "@warren/observability";
import { z } from "zod";
import { type Announced, createAnnouncer } from "./announcer.ts";
import { assertDefined, type JobDefinition, type PayloadOf } from "./define.ts";
import { JobOptionError } from "./errors.ts";
import { createPublish, defaultEventBytes, type Publish } from "./events/publish.ts";
import { createFlowStarter, type FlowStarter } from "./flows/start.ts";
import { assertReadable, jsonText, misfit } from "./json.ts";
import { durationMs, instant, parseOptions } from "./options.ts";
import { assertSize } from "./payloads/limits.ts";
import { sealJob, sealJobs } from "./payloads/payload.ts";
import { type Payloads, staysPlain } from "./payloads/seal.ts";
import { createTiming, type DelayedClient, type ScheduleClient } from "./schedules/client.ts";
import { type UniqueOptions, uniquenessOf, uniqueOptions } from "./unique.ts";

export interface EnqueueOptions {
  /** Your own name for this job, up to 200 characters: enqueuing the same id of the same definition again makes no second job. */
  readonly id?: string;
  /** What limits, order and fairness of the queue go by, up to 200 characters: a tenant, an account, a device. */
  readonly key?: string;
  /** One job of the same work at a time; over what the definition says. Not together with `id`. */
  readonly unique?: UniqueOptions;
  /** Not before this many milliseconds from now, by the ledger's clock. */
  readonly delayMs?: number;
  /** Not before this instant. Not together with `delayMs`. */
  readonly at?: Date;
  /** 0 (default) to 1,000; higher first, where the queue honours priorities. */
  readonly priority?: number;
  /** Default: that of the current context, else a new one. */
  readonly correlationId?: string;
  /** Enqueue inside your own transaction: any function that runs one statement there. The dispatcher publishes after your commit. */
  readonly tx?: RunSql;
}

export type Enqueued = EnqueueResult;

/** One item of `enqueueMany`. */
export interface EnqueueItem<Payload> extends Omit<EnqueueOptions, "tx"> {
  readonly payload: Payload;
}

/** For rows that somebody else writes. */
export interface PrepareOptions extends Omit<EnqueueOptions, "tx"> {
  /** Name of the schedule whose jobs it is the pattern of; they are not unique. */
  readonly schedule?: string;
}

export interface ClientOptions {
  readonly ledger: Pick<
    Ledger,
    | "enqueue"
    | "enqueueIn"
    | "confirmSent"
    | "transaction"
    | "events"
    | "releaseUnique"
    | "flows"
    | "delayed"
    | "schedules"
  >;
  /** Without one, the dispatcher publishes every job and every event. */
  readonly publisher?: Pick<Publisher, "publish">;
  /** Makes a queue exist in the broker before its first message: `(queue) => session.declare(jobsTopology({ queues: [queue] }))`. */
  readonly declare?: (queue: string) => Promise<void>;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Messages handed to the publisher and not confirmed yet; more wait here as ids. Default 20,000. */
  readonly maxPendingMessages?: number;
  /** Jobs that wait for such a place; what is beyond is left to the dispatcher. Default 500,000. */
  readonly maxBacklogJobs?: number;
  /** Who publishes events, a URI reference: CloudEvents `source`. Default `warren`. */
  readonly source?: string;
  /** The most bytes of an event's data. Default 1 MiB. */
  readonly maxEventBytes?: number;
  /** Key ring and store, for definitions that encrypt or offload. */
  readonly payloads?: Payloads;
  /** Default `randomUUID`. */
  readonly newId?: () => string;
}

export interface Client extends FlowStarter, AsyncDisposable {
  /**
   * Adds a job. Resolves when the ledger has it; the broker may be down. Concurrent calls share statements.
   * @throws JobDataError `JOB_PAYLOAD_INVALID` with the path of the field, `JOB_PAYLOAD_UNSERIALISABLE`, `JOB_PAYLOAD_TOO_LARGE`,
   * `JOB_SEARCH_INVALID`.
   * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
   * @throws PayloadError `PAYLOAD_KEY_RING_MISSING`, `PAYLOAD_STORE_…` of definitions that encrypt or offload.
   */
  enqueue<Definition extends JobDefinition>(
    definition: Definition,
    payload: PayloadOf<Definition>,
    options?: EnqueueOptions,
  ): Promise<Enqueued>;
  /** Adds many jobs at once: all of them or, when one is invalid, none. Results in the order given. */
  enqueueMany<Definition extends JobDefinition>(
    definition: Definition,
    items: readonly EnqueueItem<PayloadOf<Definition>>[],
    options?: Pick<EnqueueOptions, "tx">,
  ): Promise<readonly Enqueued[]>;
  /** Publishes an event to every service that subscribed; see `Publish`. */
  readonly publish: Publish;
  /**
   * Lets the unique key of a definition go, so that the next enqueue makes a job; the job that holds it is left alone. Answers whether
   * it was held.
   */
  releaseUnique(definition: JobDefinition, key: string): Promise<boolean>;
  /** Jobs that wait for their time: run now, put off, call off. */
  readonly delayed: DelayedClient;
  /** What makes jobs by the clock. */
  readonly schedules: ScheduleClient;
  /** As `prepare`, for any definition: encrypts and offloads the payload where the definition says so. Throws as `enqueue`. */
  prepare<Definition extends JobDefinition>(
    definition: Definition,
    payload: PayloadOf<Definition>,
    options?: PrepareOptions,
  ): Promise<NewJob>;
  /** Publishes jobs that somebody else's statement has committed (see `prepare`). Never throws, never waits. */
  announce(jobs: readonly Pick<Announced, "id" | "queue">[]): void;
}

const enqueueOptions = z.strictObject({
  id: z
    .string()
    .min(1)
    .max(200)
    .refine((id) => !id.startsWith(occurrencePrefix), `ids that begin with "${occurrencePrefix}" belong to schedules`)
    .optional(),
  key: z.string().min(1).max(200).optional(),
  unique: uniqueOptions.optional(),
  delayMs: durationMs.optional(),
  at: instant.optional(),
  priority: z.number().int().min(0).max(1_000).optional(),
  correlationId: z.string().min(1).max(200).optional(),
  tx: z
    .custom<RunSql>((value) => typeof value === "function", "expected a function that runs one statement")
    .optional(),
});

const maxJobsPerStatement = 1_000;
const defaultBundleSize = 50;
const defaultPendingMessages = 20_000;
/** About 150 bytes each where every job travels alone, and 65 in bundles: a full backlog is 75 MB at most. */
const defaultBacklogJobs = 500_000;
const noOptions: z.output<typeof enqueueOptions> = {};

/** Opens a client: the side of Warren that adds jobs. */
export function createClient(options: ClientOptions): Client {
  const { ledger, publisher, log, metrics, payloads = {} } = options;
  const newId = options.newId ?? randomUUID;
  const announcer =
    publisher === undefined
      ? undefined
      : createAnnouncer({
          publisher,
          ledger,
          declare: options.declare,
          maxPendingMessages: options.maxPendingMessages ?? defaultPendingMessages,
          maxBacklogJobs: options.maxBacklogJobs ?? defaultBacklogJobs,
          log,
          metrics,
          newId,
        });
  const enqueued = metrics.counter({
    name: "warren_jobs_enqueued_total",
    help: "Jobs added to the ledger by this process; duplicates of a known id are counted apart",
    labels: ["queue", "job", "created"],
  });

  async function write(definition: JobDefinition, jobs: readonly NewJob[], tx?: RunSql): Promise<readonly Enqueued[]> {
    const results = await (tx === undefined ? writeCommitted(jobs) : writeIn(tx, jobs));
    if (tx === undefined) announceReady(definition, results);
    const created = results.reduce((sum, result) => sum + (result.created ? 1 : 0), 0);
    const labels = { queue: definition.queue, job: definition.name };
    if (created > 0) enqueued.inc({ ...labels, created: "yes" }, created);
    if (created < results.length) enqueued.inc({ ...labels, created: "no" }, results.length - created);
    return results;
  }

  /** One statement, or one transaction of several: a call's jobs are added together or not at all. */
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

  function announceReady(definition: JobDefinition, written: readonly Enqueued[]): void {
    const { queue, bundleSize } = definition;
    announcer?.announce(
      written
        .filter((one) => one.created && one.state === "ready" && one.waits !== true)
        .map(({ id }) => ({ id, queue, bundleSize })),
    );
  }

  const sendBy = publisher === undefined ? "dispatcher" : "enqueuer";
  const announce = (jobs: readonly Pick<Announced, "id" | "queue">[]): void =>
    announcer?.announce(jobs.map(({ id, queue }) => ({ id, queue, bundleSize: defaultBundleSize })));
  const prepareHere: Client["prepare"] = async (definition, payload, { schedule, ...given } = {}) => {
    const { job, isPlain } = draft(definition, payload, given, sendBy, newId);
    // said before sealing, which binds the payload to it
    const row = schedule === undefined ? job : { ...withoutUnique(job), schedule };
    return isPlain ? row : sealJob(definition, row, payloads);
  };
  return {
    ...createFlowStarter({ ledger, sendBy, announce, prepare: prepareHere, newId }),
    ...createTiming({ ledger, prepare: prepareHere }),
    prepare: prepareHere,
    async enqueue(definition, payload, given = {}) {
      const { tx } = given;
      const { job, isPlain } = draft(definition, payload, given, tx === undefined ? sendBy : "dispatcher", newId);
      const [result] = await write(definition, [isPlain ? job : await sealJob(definition, job, payloads)], tx);
      if (result === undefined) throw new RangeError("the ledger answered nothing for an enqueued job");
      return result;
    },
    async enqueueMany(definition, items, given = {}) {
      const { tx } = parseOptions("enqueueMany", enqueueOptions.pick({ tx: true }), given);
      const by = tx === undefined ? sendBy : "dispatcher";
      // jobs of one call belong together: they share the caller's correlation id, or one new one
      const correlationId = currentContext()?.correlationId ?? newId();
      const drafts = items.map(({ payload, ...own }) =>
        draft(definition, payload, { correlationId, ...own }, by, newId),
      );
      return write(definition, await sealJobs(definition, drafts, payloads), tx);
    },
    publish: createPublish({
      ledger,
      publisher,
      source: options.source ?? "warren",
      maxEventBytes: options.maxEventBytes ?? defaultEventBytes,
      log,
      metrics,
      newId,
    }),
    releaseUnique: (definition, key) => ledger.releaseUnique(definition.name, key),
    announce,
    async [Symbol.asyncDispose]() {
      await announcer?.[Symbol.asyncDispose]();
    },
  };
}

/**
 * Validates a payload and makes the row for it, without writing it: for those who put jobs into a statement of their own.
 * @throws JobDataError, JobOptionError as `enqueue`; JobOptionError `JOB_SEALING_REQUIRED` when the payload must be encrypted or
 * offloaded, which takes a client: `client.prepare`.
 */
export function prepare<Definition extends JobDefinition>(
  definition: Definition,
  payload: PayloadOf<Definition>,
  given?: EnqueueOptions,
  sendBy?: NewJob["sendBy"],
  newId?: () => string,
): NewJob {
  const { job, isPlain } = draft(definition, payload, given, sendBy, newId);
  if (isPlain) return job;
  throw new JobOptionError("JOB_SEALING_REQUIRED", `prepare: ${definition.name} is encrypted or offloaded here`);
}

/** A row with its payload still in plain, and whether it may stay so. */
interface Draft {
  readonly job: NewJob;
  readonly isPlain: boolean;
}

function draft<Definition extends JobDefinition>(
  definition: Definition,
  payload: PayloadOf<Definition>,
  given: EnqueueOptions = {},
  sendBy: NewJob["sendBy"] = "enqueuer",
  newId: () => string = randomUUID,
): Draft {
  const options = Object.keys(given).length === 0 ? noOptions : parseOptions("enqueue", enqueueOptions, given);
  assertDefined("enqueue", definition);
  const what = `payload of ${definition.name}`;
  const parsed = definition.payload.safeParse(payload);
  if (!parsed.success) throw misfit(what, parsed.error, "JOB_PAYLOAD_INVALID");
  const text = jsonText(`the ${what}`, payload, "JOB_PAYLOAD_UNSERIALISABLE");
  assertReadable(what, definition.payload, text, "JOB_PAYLOAD_INVALID");
  assertSize(definition.name, "payload", text, definition.maxPayloadBytes);
  const attributes = definition.search?.(parsed.data);
  const unique =
    options.id === undefined || options.unique !== undefined
      ? uniquenessOf(definition.name, definition.unique, options.unique, payload)
      : undefined;
  if (unique !== undefined && options.id !== undefined) {
    throw new JobOptionError("JOB_OPTION_INVALID", 'enqueue: give "id" or "unique", not both', {
      details: { path: "unique" },
    });
  }
  const limitKey = options.key ?? definition.key?.(parsed.data);
  const context = currentContext();
  const job: NewJob = {
    queue: definition.queue,
    name: definition.name,
    version: definition.version,
    payload,
    maxAttempts: definition.attempts,
    maxStalls: definition.maxStalls,
    breakers: definition.breakersOf?.(parsed.data) ?? definition.breakers,
    correlationId: options.correlationId ?? context?.correlationId ?? newId(),
    sendBy,
    ...startOf(options),
    ...(options.id === undefined ? {} : { key: options.id }),
    ...(unique === undefined ? {} : { unique }),
    ...(limitKey === undefined ? {} : { limitKey }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(context?.traceparent === undefined ? {} : { trace: context.traceparent }),
    ...(attributes === undefined ? {} : { attributes }),
  };
  return { job, isPlain: staysPlain(definition, text) };
}

function withoutUnique(job: NewJob): NewJob {
  const { unique, ...rest } = job;
  return unique === undefined ? job : rest;
}

function startOf({ delayMs, at }: { delayMs?: number | undefined; at?: Date | undefined }): JobStart {
  if (delayMs !== undefined && at !== undefined) {
    throw new JobOptionError("JOB_OPTION_INVALID", 'enqueue: give "delayMs" or "at", not both', {
      details: { path: "at" },
    });
  }
  if (delayMs !== undefined) return { delayMs };
  return at === undefined ? {} : { runAt: at };
}
