import type { ClaimedJob, Ledger } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { Activity } from "../control/activity.ts";
import { createRecords } from "../control/records.ts";
import type { Client } from "../enqueue/client.ts";
import { type JobHandler, tabulate } from "../handle.ts";
import { createInstruments } from "../instruments.ts";
import { assertPayloads } from "../payloads/equipment.ts";
import type { Payloads } from "../payloads/seal.ts";
import { createSlots } from "../worker/slots.ts";
import { createDeadlines } from "./deadlines.ts";
import { createExecutor } from "./executor.ts";
import { Running } from "./running.ts";
import { createSettler } from "./settle.ts";

export interface RunnerOptions {
  readonly ledger: Pick<Ledger, "settle" | "settleIn" | "reportBreaker" | "flows" | "control">;
  readonly client: Pick<Client, "enqueue" | "announce" | "prepare">;
  readonly jobs: readonly JobHandler[];
  readonly payloads?: Payloads | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** For the jitter of backoffs. */
  readonly random: () => number;
}

/** Runs claimed jobs as a worker does, for whoever claims them in another way: the testing helpers. */
export interface Runner extends AsyncDisposable {
  /** Calls what the handlers hold open before the first job. */
  open(): Promise<void>;
  /** Runs one attempt. Resolves when its outcome is settled; never rejects. */
  run(claimed: ClaimedJob, workerId: string): Promise<void>;
}

/** Nobody watches such jobs. */
const unwatched: Activity = {
  watched: () => undefined,
  began: () => undefined,
  progressed: () => undefined,
  ended: () => undefined,
};

/** @throws JobOptionError when two handlers are given for one definition, or none at all. */
export function createRunner(options: RunnerOptions): Runner {
  const { ledger, client, jobs, log, metrics, random } = options;
  const handlers = tabulate(jobs);
  const payloads = assertPayloads(jobs, options.payloads);
  const deadlines = createDeadlines();
  const slots = createSlots(1, { freed: () => undefined, changed: () => undefined });
  const settler = createSettler({ ledger, log, random, onSettled: () => undefined });
  const records = createRecords({ ledger, activity: unwatched, log });
  const executor = createExecutor({
    handlers,
    ledger,
    settler,
    slots,
    running: new Running(),
    deadlines,
    instruments: createInstruments(metrics, {
      busySlots: () => slots.taken,
      freeSlots: () => slots.free,
      concurrency: () => slots.size,
      waitingMessages: () => 0,
      unsettled: () => settler.pending,
      abandonedHandlers: () => executor.abandonedHandlers,
    }),
    client,
    records,
    activity: unwatched,
    jobs,
    ended: () => undefined,
    payloads,
    log,
    tracing: undefined,
    random,
  });
  return {
    open: async () => {
      await Promise.all(jobs.map(async (handler) => handler.open?.({ log, metrics })));
    },
    async run(claimed, workerId) {
      if (slots.free === 0) slots.resize(slots.taken + 1);
      slots.take(1);
      await executor.run(claimed, workerId);
    },
    async [Symbol.asyncDispose]() {
      settler.dispose();
      records.dispose();
      deadlines.dispose();
      await Promise.all(jobs.map(async (handler) => handler.close?.()));
    },
  };
}
