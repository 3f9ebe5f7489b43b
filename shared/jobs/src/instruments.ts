import { type CounterChild, type HistogramChild, jobBuckets, type Metrics } from "@warren/observability";

/** What became of an attempt, as a metric label. `fenced`: the ledger refused the outcome; `abandoned`: the worker was let go first. */
export type AttemptOutcome =
  | "succeeded"
  | "retrying"
  | "dead"
  | "cancelled"
  | "snoozed"
  | "held"
  | "returned"
  | "fenced"
  | "abandoned";

/** Metrics of one job definition in one queue, looked up once. */
export interface JobInstruments {
  attempt(outcome: AttemptOutcome): void;
  /** Seconds from ready to claimed, by the database's clock. */
  waited(seconds: number): void;
  ran(seconds: number): void;
}

export interface Instruments {
  of(queue: string, job: string): JobInstruments;
  readonly foreignMessages: CounterChild;
  readonly splitBundles: CounterChild;
  readonly sentOn: CounterChild;
  readonly resubscribed: CounterChild;
  readonly hardTimeouts: CounterChild;
  readonly leasesLost: CounterChild;
}

/** What the gauges look at when they are scraped. */
export interface WorkerGauges {
  readonly busySlots: () => number;
  readonly freeSlots: () => number;
  readonly concurrency: () => number;
  readonly waitingMessages: () => number;
  readonly unsettled: () => number;
  readonly abandonedHandlers: () => number;
}

const finished: readonly AttemptOutcome[] = ["succeeded", "dead", "cancelled"];

export function createInstruments(metrics: Metrics, gauges: WorkerGauges): Instruments {
  const attempts = metrics.counter({
    name: "warren_job_attempts_total",
    help: "Attempts by what became of them",
    labels: ["queue", "job", "outcome"],
  });
  const finishedJobs = metrics.counter({
    name: "warren_jobs_finished_total",
    help: "Jobs that ended, by final state",
    labels: ["queue", "job", "state"],
  });
  const wait = metrics.histogram({
    name: "warren_job_wait_seconds",
    help: "From the time a job may run to its claim",
    labels: ["queue", "job"],
    buckets: jobBuckets,
  });
  const run = metrics.histogram({
    name: "warren_job_run_seconds",
    help: "Run time of handlers, failed ones included",
    labels: ["queue", "job"],
    buckets: jobBuckets,
  });
  metrics.gauge({
    name: "warren_worker_slots",
    help: "Places for running jobs",
    labels: ["state"],
    collect(gauge) {
      gauge.set({ state: "busy" }, gauges.busySlots());
      gauge.set({ state: "free" }, gauges.freeSlots());
    },
  });
  const gauge = (name: string, help: string, read: () => number) =>
    metrics.gauge({ name, help, labels: [], collect: (own) => own.set({}, read()) });
  gauge("warren_worker_concurrency_target", "The most handlers at once, as set now", gauges.concurrency);
  gauge("warren_worker_waiting_messages", "Messages received and not yet claimed", gauges.waitingMessages);
  gauge("warren_worker_unsettled_jobs", "Ended attempts that the ledger does not know of yet", gauges.unsettled);
  gauge(
    "warren_worker_abandoned_handlers",
    "Handlers past their hard timeout that still run",
    gauges.abandonedHandlers,
  );
  const counter = (name: string, help: string) => metrics.counter({ name, help, labels: [] }).child({});

  function create(queue: string, job: string): JobInstruments {
    const labels = { queue, job };
    const counters = new Map<AttemptOutcome, readonly CounterChild[]>();
    const waits: HistogramChild = wait.child(labels);
    const runs: HistogramChild = run.child(labels);
    return {
      attempt(outcome) {
        let counted = counters.get(outcome);
        if (counted === undefined) {
          counted = [attempts.child({ ...labels, outcome })];
          if (finished.includes(outcome)) counted = [...counted, finishedJobs.child({ ...labels, state: outcome })];
          counters.set(outcome, counted);
        }
        for (const one of counted) one.inc();
      },
      waited: (seconds) => waits.observe(seconds),
      ran: (seconds) => runs.observe(seconds),
    };
  }

  const known = new Map<string, JobInstruments>();
  return {
    of(queue, job) {
      const key = `${queue}\u0000${job}`;
      let instruments = known.get(key);
      if (instruments === undefined) {
        instruments = create(queue, job);
        known.set(key, instruments);
      }
      return instruments;
    },
    foreignMessages: counter("warren_foreign_messages_total", "Messages on a job queue that are not ours, set aside"),
    splitBundles: counter("warren_split_bundles_total", "Bundles sent on as single messages because they waited"),
    sentOn: counter("warren_worker_sent_on_messages_total", "Messages sent on to other workers: all slots were taken"),
    resubscribed: counter("warren_worker_resubscribed_total", "Silent subscriptions that were renewed"),
    hardTimeouts: counter("warren_job_hard_timeouts_total", "Attempts given up while their handler still ran"),
    leasesLost: counter("warren_worker_leases_lost_total", "Times this worker was taken for dead"),
  };
}
