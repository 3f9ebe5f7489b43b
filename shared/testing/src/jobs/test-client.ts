import { AsyncLocalStorage } from "node:async_hooks";
import { type Client, createClient, createSubscriber, type JobHandler, type Subscription } from "@warren/jobs";
import { createRunner } from "@warren/jobs/runner";
import type { JobRecord, RunSql } from "@warren/ledger";
import { createLogger, createMetrics, type Logger, type Metrics } from "@warren/observability";
import { TestingError } from "./errors.ts";
import { createMemoryBroker, type DeadTestEvent } from "./memory-broker.ts";
import { createMemoryLedger } from "./memory-ledger.ts";
import { type PublishedEvent, publishedOf } from "./published.ts";
import { recordOf } from "./stored-job.ts";

export interface TestClientOptions {
  /** What handles the jobs. Without any, jobs pile up and cannot be drained. */
  readonly handlers?: readonly JobHandler[];
  /** What handles published events. Default none: they are only noted. */
  readonly subscriptions?: readonly Subscription[];
  /**
   * `inline`: a job runs before its `enqueue` resolves, with all that it enqueues and publishes; what is delayed or retried runs when `advance`
   * or `drain` makes it due. `manual` (default): nothing runs before `drain`.
   */
  readonly mode?: "inline" | "manual";
  /** What the clock shows at first. Default: the time of day. */
  readonly now?: Date;
  /** From 0 to 1, for the jitter of backoffs. Default always 0: none. */
  readonly random?: () => number;
  /** Key ring and store, for definitions that encrypt or offload. */
  readonly payloads?: Parameters<typeof createClient>[0]["payloads"];
  /** Default: nothing is logged. */
  readonly log?: Logger;
  /** Default: metrics of its own. */
  readonly metrics?: Metrics;
}

export interface DrainOptions {
  /**
   * `idle` (default): until nothing waits, setting the clock on to each next due time. `due`: only what is due now, and what comes of it. An
   * instant: what is due until then.
   */
  readonly until?: "idle" | "due" | Date;
  /** The most attempts and deliveries of events; one more throws `TEST_DRAIN_ENDLESS`. Default 10,000. */
  readonly limit?: number;
}

/** What a drain has done. */
export interface Drained {
  /** Attempts of jobs, failed ones among them. */
  readonly attempts: number;
  /** Deliveries of events to subscriptions, failed ones among them. */
  readonly deliveries: number;
  /** Jobs that are dead now and were not before. */
  readonly dead: readonly JobRecord[];
}

/**
 * A client without broker and database: real validation, handlers, retries, timeouts and verdicts, over jobs in memory and a clock that only the
 * test moves. Not faked, and refused with `TEST_NOT_FAKED`: flows, schedules, SQL. Without effect: limits and pauses of queues.
 */
export interface TestClient extends Client {
  /** All jobs ever enqueued, finished ones too, in the order in which they came. */
  enqueuedJobs(): readonly JobRecord[];
  job(id: string): JobRecord | undefined;
  /** What the job's handler said last by `job.progress`. */
  progress(id: string): unknown;
  /** What it wrote by `job.note`. */
  notes(id: string): readonly string[];
  /** All events ever published. */
  publishedEvents(): readonly PublishedEvent[];
  /** Events that a subscription has given up. */
  deadEvents(): readonly DeadTestEvent[];
  /** Runs jobs and delivers events, one after the other, those that they bring about included. @throws TestingError. */
  drain(options?: DrainOptions): Promise<Drained>;
  /** Sets the clock on. With `inline` everything that falls due meanwhile runs, each at its time. */
  advance(ms: number): Promise<Drained>;
  /** What the clock shows. */
  now(): Date;
  /**
   * A transaction of the fake: what is enqueued, published or completed with its `tx` counts when `work` resolves, and never when it throws. What
   * is written with any other function as `tx` counts at once, since nobody tells the fake of its commit.
   */
  transaction<T>(work: (tx: RunSql) => Promise<T>): Promise<T>;
}

const mostSteps = 10_000;
const workerId = "00000000-0000-7000-8000-00000000beef";
const silent = () => createLogger({ service: "test", level: "fatal", destination: { write: () => undefined } });

/** Makes a client for unit tests. @throws JobOptionError as `createWorker` and `createSubscriber` for what they would refuse. */
export function createTestClient(options: TestClientOptions = {}): TestClient {
  const { handlers = [], subscriptions = [], mode = "manual", payloads, random = () => 0 } = options;
  const { log = silent(), metrics = createMetrics({ service: "test", version: "0" }) } = options;
  let nowMs = (options.now ?? new Date()).getTime();
  const now = (): number => nowMs;
  const { ledger, store } = createMemoryLedger(now);
  const broker = createMemoryBroker(subscriptions, now);
  const insideHandler = new AsyncLocalStorage<true>();
  let routed = 0;
  let turn: Promise<unknown> = Promise.resolve();

  const real = createClient({ ledger, log, metrics, ...(payloads === undefined ? {} : { payloads }) });
  const client: TestClient = {
    ...real,
    enqueue: (definition, payload, given) => thenRun(real.enqueue(definition, payload, given)),
    enqueueMany: (definition, items, given) => thenRun(real.enqueueMany(definition, items, given)),
    publish: (event, data, given) => thenRun(real.publish(event, data, given)),
    delayed: {
      ...real.delayed,
      runNow: (id) => thenRun(real.delayed.runNow(id)),
      runAllNow: (filter) => thenRun(real.delayed.runAllNow(filter)),
      reschedule: (id, start) => thenRun(real.delayed.reschedule(id, start)),
    },
    transaction: (work) => thenRun(ledger.transaction(work)),
    enqueuedJobs: () => [...store.jobs.values()].map(recordOf),
    job(id) {
      const job = store.jobs.get(id);
      return job === undefined ? undefined : recordOf(job);
    },
    progress: (id) => JSON.parse(store.progress.get(id) ?? "null") as unknown,
    notes: (id) => store.notes.get(id) ?? [],
    publishedEvents: () => store.outbox.map(publishedOf),
    deadEvents: () => [...broker.dead],
    drain: ({ until = "idle", limit = mostSteps } = {}) => inTurn(() => run(until, limit)),
    advance(ms) {
      if (!(ms >= 0)) throw new RangeError(`advance: expected milliseconds from 0, got ${ms}`);
      return inTurn(async () => {
        const target = nowMs + ms;
        const drained = mode === "inline" ? await run(new Date(target), mostSteps) : nothing;
        nowMs = target;
        store.release(nowMs);
        return drained;
      });
    },
    now: () => new Date(nowMs),
    async [Symbol.asyncDispose]() {
      await subscriber?.[Symbol.asyncDispose]();
      await runner?.[Symbol.asyncDispose]();
      await real[Symbol.asyncDispose]();
    },
  };
  const runner =
    handlers.length === 0
      ? undefined
      : createRunner({ ledger, client, jobs: handlers, payloads, log, metrics, random });
  const subscriber =
    subscriptions.length === 0
      ? undefined
      : createSubscriber({ session: broker.session, ledger, subscriptions, log, metrics, random });
  let opened: Promise<unknown> | undefined;

  /** Inline, the caller goes on when everything that is due has run; what a handler enqueues waits for the handler's end. */
  async function thenRun<T>(work: Promise<T>): Promise<T> {
    const answer = await work;
    if (mode === "inline" && insideHandler.getStore() === undefined) await inTurn(() => run("due", mostSteps));
    return answer;
  }

  /** One at a time: what runs beside each other would make the order of a test a matter of luck. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  }

  async function run(until: NonNullable<DrainOptions["until"]>, limit: number): Promise<Drained> {
    opened ??= Promise.all([runner?.open(), subscriber?.start()]);
    await opened;
    const deadBefore = new Set([...store.jobs.values()].filter(isDead).map(({ id }) => id));
    const counts = { attempts: 0, deliveries: 0 };
    for (;;) {
      await runDue(counts, limit);
      const next = nextDueAt();
      if (next === undefined || until === "due" || (until instanceof Date && next > until.getTime())) break;
      nowMs = Math.max(nowMs, next);
    }
    if (until instanceof Date) nowMs = Math.max(nowMs, until.getTime());
    const dead = [...store.jobs.values()].filter((job) => isDead(job) && !deadBefore.has(job.id));
    return { ...counts, dead: dead.map(recordOf) };
  }

  async function runDue(counts: { attempts: number; deliveries: number }, limit: number): Promise<void> {
    for (;;) {
      store.release(nowMs);
      const delivered = await insideHandler.run(true, deliver);
      counts.deliveries += delivered;
      if (counts.attempts + counts.deliveries > limit) throw endless(limit, client.enqueuedJobs());
      const claimed = runner === undefined ? undefined : store.claim(nowMs, workerId);
      if (claimed === undefined && delivered === 0 && routed === store.outbox.length) return;
      if (claimed === undefined) continue;
      counts.attempts += 1;
      if (counts.attempts + counts.deliveries > limit) {
        store.settle({ id: claimed.id, attempt: claimed.attempt, workerId, outcome: { kind: "returned" } }, nowMs);
        throw endless(limit, client.enqueuedJobs());
      }
      await insideHandler.run(true, async () => runner?.run(claimed, workerId));
    }
  }

  /** One event after the other, each to all who subscribed. */
  async function deliver(): Promise<number> {
    const event = store.outbox[routed];
    if (event !== undefined) routed += 1;
    const delivered = event === undefined ? broker.deliverNextDue() : broker.route(event);
    if (delivered > 0) await subscriber?.drain(new AbortController().signal);
    return delivered;
  }

  /** When something that can run will be due; jobs that nobody handles here wait for ever. */
  function nextDueAt(): number | undefined {
    const times = [runner === undefined ? undefined : store.nextDueAt(), broker.nextDueAt()];
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  return client;
}

const nothing: Drained = { attempts: 0, deliveries: 0, dead: [] };
const isDead = ({ state }: { readonly state: string }): boolean => state === "dead";

function endless(limit: number, jobs: readonly JobRecord[]): TestingError {
  const waiting = jobs.filter(({ state }) => state === "ready" || state === "retrying" || state === "scheduled");
  const named = waiting.slice(0, 5).map(({ name, attempt }) => `${name} (started ${attempt} times)`);
  const more = waiting.length > 5 ? `, and ${waiting.length - 5} more` : "";
  return new TestingError(
    "TEST_DRAIN_ENDLESS",
    `drain: ${limit} attempts and deliveries were not enough; still waiting: ${named.join(", ") || "events"}${more}`,
  );
}
