import { type AmqpSession, eventsTopology, jobsTopology, mergeTopologies, openSession } from "@warren/amqp";
import {
  type Client,
  createClient,
  createLimits,
  createSubscriber,
  createWorker,
  type JobHandler,
  type QueueControl,
  type Subscriber,
  type Subscription,
  type Worker,
  type WorkerOptions,
} from "@warren/jobs";
import { type JobRecord, type JobState, type Ledger, migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics, type Logger, type Metrics } from "@warren/observability";
import { waitFor } from "../wait-for.ts";
import { createWorld, type World, type WorldOptions } from "../world.ts";
import { TestingError } from "./errors.ts";
import { createEventWatch } from "./event-watch.ts";
import { startTestDispatcher } from "./test-dispatcher.ts";

export interface TestWarrenOptions {
  /** What its worker handles. Without any there is no worker, and jobs wait. */
  readonly handlers?: readonly JobHandler[];
  /** What its subscriber handles. Default none. */
  readonly subscriptions?: readonly Subscription[];
  /** Options of its worker. Default: a heartbeat each 100 ms. */
  readonly worker?: Partial<Omit<WorkerOptions, "ledger" | "session" | "jobs">>;
  /** For definitions that encrypt or offload. */
  readonly payloads?: WorkerOptions["payloads"];
  /** Default: nothing is logged. */
  readonly log?: Logger;
  /** Which servers, and whether open connections fail the test. */
  readonly world?: WorldOptions;
}

export interface WarrenDrainOptions {
  /** `idle` (default): what is delayed or retried is run now instead of at its time. `due`: it goes on waiting. */
  readonly until?: "idle" | "due";
  /** Default 20 s. */
  readonly timeoutMs?: number;
}

/** Warren as one test has it to itself: own vhost, own database, a worker and a dispatcher in this process. Dispose it: `await using`. */
export interface TestWarren extends AsyncDisposable {
  readonly world: World;
  readonly ledger: Ledger;
  readonly session: AmqpSession;
  readonly client: Client;
  /** Limits and pauses of its queues. */
  readonly limits: QueueControl;
  readonly worker: Worker | undefined;
  readonly subscriber: Subscriber | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** All jobs ever enqueued, finished ones too, in the order in which they came: for `expectEnqueued` as well. */
  enqueuedJobs(): Promise<readonly JobRecord[]>;
  job(id: string): Promise<JobRecord | undefined>;
  /** Waits until the job is in this state, at most 30 s. */
  until(id: string, state: JobState): Promise<JobRecord>;
  /** Waits until these jobs have succeeded, died or were cancelled, at most 30 s. In the order of the ids. */
  finished(ids: readonly string[]): Promise<readonly JobRecord[]>;
  /**
   * Runs what waits and what comes of it, and resolves when no job is unfinished, the outbox is empty, and subscribers have nothing in hand.
   * Events on their way up the retry ladder are not waited for. @throws TestingError `TEST_DRAIN_STUCK`.
   */
  drain(options?: WarrenDrainOptions): Promise<void>;
  /** A further worker, disposed with the rest. */
  startWorker(handlers: readonly JobHandler[], options?: TestWarrenOptions["worker"]): Promise<Worker>;
}

/** For jobs that still run when a test is over. */
const lastRunMs = 2_000;
const silent = () => createLogger({ service: "test", level: "fatal", destination: { write: () => undefined } });

/** Opens a Warren on the servers of the test run (`@warren/testing/vitest-setup`). Takes about half a second. */
export async function openTestWarren(options: TestWarrenOptions = {}): Promise<TestWarren> {
  const { handlers = [], subscriptions = [], payloads, log = silent() } = options;
  const withPayloads = payloads === undefined ? {} : { payloads };
  const stack = new AsyncDisposableStack();
  try {
    const world = stack.use(await createWorld(options.world));
    const { databaseUrl: connectionString, schema } = world;
    await migrate({ connectionString, schema, log });
    const metrics = createMetrics({ service: "test", version: "0" });
    const ledger = stack.use(await openLedger({ connectionString, schema, log }));
    const session = stack.use(await openSession({ urls: [world.amqpUrl], name: "test", log, metrics }));
    await session.connected();
    await session.declare(mergeTopologies(jobsTopology({ queues: ["default"] }), eventsTopology()));
    const watch = createEventWatch(subscriptions);
    const publisher = watch.publisher(stack.use(session.publisher()));
    const declare = async (queue: string) => void (await session.declare(jobsTopology({ queues: [queue] })));
    const client = stack.use(createClient({ ledger, publisher, declare, log, metrics, ...withPayloads }));

    const startWorker: TestWarren["startWorker"] = async (jobs, more) => {
      const parts = { ledger, session, jobs, log, metrics: createMetrics({ service: "test", version: "0" }) };
      const worker = stack.use(createWorker({ heartbeatMs: 100, ...parts, ...withPayloads, ...more }));
      stack.defer(async () => {
        await worker.quiet();
        await worker.drain(AbortSignal.timeout(lastRunMs));
      });
      await worker.start();
      return worker;
    };
    const worker = handlers.length === 0 ? undefined : await startWorker(handlers, options.worker);
    const subscriber =
      subscriptions.length === 0
        ? undefined
        : stack.use(createSubscriber({ session: watch.session(session), ledger, subscriptions, log, metrics }));
    await subscriber?.start();
    const dispatcher = stack.use(startTestDispatcher({ ledger, session, publisher }));
    const jobs = readJobs(ledger);

    /** Events first: their handlers may enqueue. And nothing may have been published since they were looked at. */
    async function isIdle(until: "idle" | "due"): Promise<boolean> {
      await dispatcher.look();
      const before = watch.published;
      if (!watch.haveArrived()) return false;
      await subscriber?.drain(new AbortController().signal);
      const { unfinished, waiting, queues, events } = await jobs.open();
      if (until === "idle") for (const queue of queues) await ledger.delayed.runAllNow({ queue });
      const jobsRest = until === "idle" ? unfinished === 0 : unfinished === waiting;
      return jobsRest && events === 0 && watch.published === before;
    }

    return {
      world,
      ledger,
      session,
      client,
      limits: createLimits({ ledger }),
      worker,
      subscriber,
      log,
      metrics,
      startWorker,
      enqueuedJobs: () => jobs.all(),
      job: (id) => ledger.findJob(id),
      until: (id, state) =>
        waitFor(
          async () => {
            const job = await ledger.findJob(id);
            return job?.state === state ? job : undefined;
          },
          { what: `job ${id} to be ${state}`, intervalMs: 10 },
        ),
      finished: (ids) =>
        waitFor(
          async () => {
            const found = await Promise.all(ids.map((id) => ledger.findJob(id)));
            const ended = found.filter((job) => job?.finishedAt !== undefined).flatMap((job) => job ?? []);
            return ended.length === ids.length ? ended : undefined;
          },
          { what: "the jobs to end", intervalMs: 25 },
        ),
      async drain({ until = "idle", timeoutMs = 20_000 } = {}) {
        try {
          await waitFor(() => isIdle(until), { what: "jobs to be finished", timeoutMs, intervalMs: 15 });
        } catch (cause) {
          throw stuck(timeoutMs, await jobs.all(), cause);
        }
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** What is in a ledger; whole tables are read, as only a test's are small enough for. */
function readJobs(ledger: Ledger) {
  const ids = `select id from ${ledger.table("jobs")} union all select id from ${ledger.table("jobs_history")} order by id`;
  const open = `select count(*)::int as unfinished,
      count(*) filter (where state in ('scheduled', 'retrying', 'blocked'))::int as waiting,
      coalesce(array_agg(distinct queue) filter (where state in ('scheduled', 'retrying')), '{}') as queues,
      (select count(*)::int from ${ledger.table("event_outbox")}) as events
    from ${ledger.table("jobs")}`;
  return {
    async all(): Promise<readonly JobRecord[]> {
      const { rows } = await ledger.query(ids, []);
      const found = await Promise.all(rows.map((row) => ledger.findJob(String(row["id"]))));
      return found.filter((job) => job !== undefined);
    },
    async open() {
      const row = (await ledger.query(open, [])).rows[0] ?? {};
      return {
        unfinished: Number(row["unfinished"]),
        waiting: Number(row["waiting"]),
        queues: row["queues"] as readonly string[],
        events: Number(row["events"]),
      };
    },
  };
}

function stuck(timeoutMs: number, jobs: readonly JobRecord[], cause: unknown): TestingError {
  const finished = new Set<JobState>(["succeeded", "dead", "cancelled"]);
  const open = jobs.filter(({ state }) => !finished.has(state));
  const named = open.slice(0, 5).map(({ id, name, state, queue }) => `${name} ${id} (${state}, queue ${queue})`);
  const more = open.length > 5 ? `, and ${open.length - 5} more` : "";
  const what = named.length === 0 ? "events" : named.join(", ");
  return new TestingError("TEST_DRAIN_STUCK", `drain: after ${timeoutMs} ms these are unfinished: ${what}${more}`, {
    cause,
  });
}
