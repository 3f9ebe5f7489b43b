import { randomUUID } from "node:crypto";
import type { Publisher } from "@warren/amqp";
import type { Ledger, NewJob } from "@warren/ledger";
import { currentContext, type Logger, type Metrics } from "@warren/observability";
import type { JobDefinition, PayloadOf } from "../define.ts";
import { ClosedError } from "../errors.ts";
import { createPublish, defaultEventBytes, type Publish } from "../events/publish.ts";
import { createFlowStarter, type FlowStarter } from "../flows/start.ts";
import { parseOptions, unexpected } from "../options.ts";
import { sealJob, sealJobs } from "../payloads/payload.ts";
import type { Payloads } from "../payloads/seal.ts";
import { createTiming, type DelayedClient, type ScheduleClient } from "../schedules/client.ts";
import { type Announced, createAnnouncer } from "./announcer.ts";
import { draft, type EnqueueOptions, enqueueOptions, type PrepareOptions, withoutUnique } from "./draft.ts";
import { createWriter, type Enqueued } from "./writer.ts";

/** One item of `enqueueMany`. */
export interface EnqueueItem<Payload> extends Omit<EnqueueOptions, "tx"> {
  readonly payload: Payload;
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

/** Adds jobs and publishes events. After its dispose all but `announce` reject with `WARREN_CLOSED`. */
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

const defaultBundleSize = 50;
const defaultPendingMessages = 20_000;
/** About 150 bytes each where every job travels alone, and 65 in bundles: a full backlog is 75 MB at most. */
const defaultBacklogJobs = 500_000;

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
  let isClosed = false;
  const assertOpen = (what: string): void => {
    if (isClosed) throw new ClosedError(`${what}: the client`);
  };
  const write = createWriter({ ledger, announcer, metrics });
  const sendBy = publisher === undefined ? "dispatcher" : "enqueuer";
  const announce = (jobs: readonly Pick<Announced, "id" | "queue">[]): void =>
    announcer?.announce(jobs.map(({ id, queue }) => ({ id, queue, bundleSize: defaultBundleSize })));
  const prepareHere: Client["prepare"] = async (definition, payload, { schedule, ...given } = {}) => {
    assertOpen("prepare");
    const { job, isPlain } = draft(definition, payload, given, sendBy, newId);
    // said before sealing, which binds the payload to it
    const row = schedule === undefined ? job : { ...withoutUnique(job), schedule };
    return isPlain ? row : sealJob(definition, row, payloads);
  };
  const flows = createFlowStarter({ ledger, sendBy, announce, prepare: prepareHere, newId });
  const timing = createTiming({ ledger, prepare: prepareHere });
  const publish = createPublish({
    ledger,
    publisher,
    source: options.source ?? "warren",
    maxEventBytes: options.maxEventBytes ?? defaultEventBytes,
    log,
    metrics,
    newId,
  });
  return {
    ...whileOpen(flows, assertOpen),
    delayed: whileOpen(timing.delayed, assertOpen),
    schedules: whileOpen(timing.schedules, assertOpen),
    prepare: prepareHere,
    async enqueue(definition, payload, given = {}) {
      assertOpen("enqueue");
      const { tx } = given;
      const { job, isPlain } = draft(definition, payload, given, tx === undefined ? sendBy : "dispatcher", newId);
      const [result] = await write(definition, [isPlain ? job : await sealJob(definition, job, payloads)], tx);
      if (result === undefined) throw new RangeError("the ledger answered nothing for an enqueued job");
      return result;
    },
    async enqueueMany(definition, items, given = {}) {
      assertOpen("enqueueMany");
      const { tx } = parseOptions("enqueueMany", enqueueOptions.pick({ tx: true }), given);
      assertItems(items);
      const by = tx === undefined ? sendBy : "dispatcher";
      // jobs of one call belong together: they share the caller's correlation id, or one new one
      const correlationId = currentContext()?.correlationId ?? newId();
      const drafts = items.map(({ payload, ...own }) =>
        draft(definition, payload, { correlationId, ...own }, by, newId),
      );
      return write(definition, await sealJobs(definition, drafts, payloads), tx);
    },
    async publish(event, data, given) {
      assertOpen("publish");
      return await publish(event, data, given);
    },
    async releaseUnique(definition, key) {
      assertOpen("releaseUnique");
      return await ledger.releaseUnique(definition.name, key);
    },
    announce,
    async [Symbol.asyncDispose]() {
      isClosed = true;
      await announcer?.[Symbol.asyncDispose]();
    },
  };
}

/** The same methods, which reject once they may not be called any more. */
function whileOpen<Methods extends object>(methods: Methods, assertOpen: (what: string) => void): Methods {
  const guarded = Object.entries(methods).map(([name, method]: [string, (...given: unknown[]) => unknown]) => [
    name,
    async (...given: unknown[]) => {
      assertOpen(name);
      return await method(...given);
    },
  ]);
  return Object.fromEntries(guarded) as Methods;
}

/** For callers without types: payloads themselves are the usual mistake. */
function assertItems(given: unknown): void {
  if (!Array.isArray(given)) throw unexpected("enqueueMany", "items", "expected an array of { payload, … }", given);
  for (const [index, item] of given.entries()) {
    if (typeof item !== "object" || item === null || !("payload" in item))
      throw unexpected("enqueueMany", `items.${index}`, "expected { payload, …options }", item);
  }
}
