import type { ClaimedJob, Ledger, Settlement } from "@warren/ledger";
import type { Logger, Tracing } from "@warren/observability";
import { defaultBackoff } from "../backoff.ts";
import type { Activity } from "../control/activity.ts";
import { afterCancel } from "../control/cancelling.ts";
import type { Records } from "../control/records.ts";
import type { Client } from "../enqueue/client.ts";
import { JobAbortedError } from "../errors.ts";
import { createJobFlow } from "../flows/job-flow.ts";
import type { HandlerTable, JobHandler } from "../handle.ts";
import type { Instruments, JobInstruments } from "../instruments.ts";
import { Attempt, type AttemptServices } from "../job.ts";
import type { Payloads } from "../payloads/seal.ts";
import type { Slots } from "../worker/slots.ts";
import { createAttemptData, NotStarted } from "./attempt-data.ts";
import { callHandler } from "./call.ts";
import type { Deadlines } from "./deadlines.ts";
import { createEntrance } from "./entrance.ts";
import { createJudge } from "./judge.ts";
import { createPace, type Pace } from "./pace.ts";
import { perform } from "./perform.ts";
import { reportProbe } from "./probe.ts";
import { report } from "./report.ts";
import type { Running } from "./running.ts";
import type { Settler } from "./settle.ts";
import type { Outcome, Verdict } from "./verdict.ts";

export interface ExecutorOptions {
  readonly handlers: HandlerTable;
  readonly ledger: Pick<Ledger, "settleIn" | "reportBreaker" | "flows" | "control">;
  readonly settler: Pick<Settler, "settle">;
  readonly slots: Slots;
  readonly running: Running;
  readonly deadlines: Deadlines;
  readonly instruments: Instruments;
  readonly client: Pick<Client, "enqueue" | "announce" | "prepare">;
  readonly records: Records;
  readonly activity: Activity;
  /** Looked at for the caps of its definitions. */
  readonly jobs: readonly JobHandler[];
  /** A job of the queue has left its place. */
  readonly ended: (queue: string) => void;
  readonly payloads: Payloads;
  readonly log: Logger;
  readonly tracing: Tracing | undefined;
  readonly random: () => number;
}

/** Runs claimed jobs to their settled end. */
export interface Executor {
  /** Starts a job whose slot is taken. Resolves when it is settled. Never throws, never rejects. */
  run(claimed: ClaimedJob, workerId: string): Promise<void>;
  /** Handlers that were given up and still run. */
  readonly abandonedHandlers: number;
  readonly pace: Omit<Pace, "ran">;
  /** Attempts that have left their slots. */
  readonly endedAttempts: number;
}

const noDefinition = { backoff: defaultBackoff, maxClaims: undefined };

export function createExecutor(options: ExecutorOptions): Executor {
  const { handlers, ledger, settler, slots, running, deadlines, instruments, records, activity, log, tracing, random } =
    options;
  const data = createAttemptData(options.payloads);
  const judge = createJudge({ deadlines, log, random });
  let abandonedHandlers = 0;
  let endedAttempts = 0;
  const pace = createPace();
  const entrance = createEntrance(options.jobs, running);

  const services: AttemptServices = {
    log,
    enqueue: (definition, payload, given) => options.client.enqueue(definition, payload, given),
    progress: (attempt, value) => options.records.progress(attempt, value),
    note: (attempt, text) => options.records.note(attempt, text),
    flow: ({ claimed, workerId }) =>
      createJobFlow({
        flows: ledger.flows,
        flowId: claimed.rare.flowId,
        adder: { id: claimed.id, attempt: claimed.attempt, workerId },
        correlationId: claimed.correlationId,
        client: options.client,
        payloads: options.payloads,
      }),
    async complete(attempt, tx, result) {
      const handler = handlers.find(attempt.name, attempt.version);
      const stored = handler === undefined ? result : await data.completed(handler, attempt, result);
      const ttlMs = handler?.definition.resultTtlMs;
      if (ttlMs !== undefined) await ledger.control.results.expireIn(attempt.id, ttlMs, tx);
      await ledger.settleIn(tx, settlementOf(attempt, { kind: "succeeded", result: stored }));
    },
  };

  async function execute(claimed: ClaimedJob, workerId: string): Promise<void> {
    const handler = handlers.find(claimed.name, claimed.version);
    const attempt = new Attempt(claimed, workerId, handler?.definition.timeoutMs ?? 0, services);
    const own = instruments.of(claimed.queue, claimed.name);
    own.waited(Math.max(0, claimed.claimedAt.getTime() - claimed.runAt.getTime()) / 1_000);

    activity.began(attempt);
    const outcome = afterCancel(await attemptIt(handler, attempt, own), attempt.aborted);
    endedAttempts += 1;
    options.ended(claimed.queue);
    slots.give(1);
    const judged = await judge(outcome, attempt.claimed, handler?.definition ?? noDefinition);
    const verdict = data.guard(handler, attempt, outcome, judged);
    const closing = records.close(attempt, verdict, handler?.definition.resultTtlMs);
    if (closing !== undefined) await closing;
    const settled = await settler.settle(settlementOf(attempt, verdict));
    if (settled === "applied") activity.ended(attempt, verdict);
    running.remove(attempt);
    // completed in the handler's own transaction, whose commit nobody else here has heard of
    if (settled === "already" && claimed.rare.flowId !== undefined) await followFlow(claimed.id);
    report(attempt, verdict, settled, { instruments: own, log });
    if (claimed.probe) await reportProbe(ledger, claimed, outcome, verdict, log);
  }

  async function followFlow(id: string): Promise<void> {
    try {
      await ledger.flows.follow([id]);
    } catch (error) {
      log.warn({ jobId: id, err: error }, "flow not followed up; the dispatcher will");
    }
  }

  async function attemptIt(handler: JobHandler | undefined, attempt: Attempt, own: JobInstruments): Promise<Outcome> {
    if (handler === undefined) return endedUnrun(attempt, unhandled(attempt, handlers.versionsOf(attempt.name)));
    // opening takes time, and so happens under the attempt's limits
    const unfit = data.isSealed(attempt) ? undefined : data.parse(handler, attempt);
    if (unfit !== undefined) return endedUnrun(attempt, unfit);
    return entrance.enter(handler, attempt, () => work(handler, attempt, own));
  }

  /** A job that this worker cannot run ends, or goes back, without a handler. */
  function endedUnrun(attempt: Attempt, outcome: Outcome): Outcome {
    running.add({ attempt, giveUp: () => undefined });
    return outcome;
  }

  async function work(handler: JobHandler, attempt: Attempt, own: JobInstruments): Promise<Outcome> {
    const startedAt = performance.now();
    const performing = perform({
      handler,
      attempt,
      deadlines,
      call: () => openAndCall(handler, attempt),
      abandoned(still) {
        abandonedHandlers += still ? 1 : -1;
        log.warn({ jobId: attempt.id, job: attempt.name }, still ? "handler given up" : "given-up handler has ended");
      },
    });
    running.add(performing);
    const outcome = await performing.outcome;
    const ranMs = performance.now() - startedAt;
    pace.ran(attempt.queue, ranMs);
    own.ran(ranMs / 1_000);
    if (outcome.kind === "threw" && isHardTimeout(outcome.error)) instruments.hardTimeouts.inc();
    if (outcome.kind === "threw" && outcome.error instanceof NotStarted) return outcome.error.outcome;
    return outcome.kind === "returned" ? data.take(handler, attempt, outcome) : outcome;
  }

  async function openAndCall(handler: JobHandler, attempt: Attempt): Promise<unknown> {
    if (data.isSealed(attempt)) await data.open(handler, attempt);
    return callHandler(handler, attempt, tracing);
  }

  return {
    run(claimed, workerId) {
      return execute(claimed, workerId).catch((error: unknown) => {
        log.fatal({ jobId: claimed.id, job: claimed.name, err: error }, "the executor failed");
      });
    },
    get abandonedHandlers() {
      return abandonedHandlers;
    },
    pace,
    get endedAttempts() {
      return endedAttempts;
    },
  };
}

function unhandled({ name, version }: Attempt, known: readonly number[]): Outcome {
  return { kind: "unhandled", name, version, known };
}

function settlementOf(attempt: Attempt, outcome: Verdict): Settlement {
  const { id, attempt: fence, rare } = attempt.claimed;
  return { id, attempt: fence, workerId: attempt.workerId, outcome, linked: rare.linked === true };
}

function isHardTimeout(error: unknown): boolean {
  return error instanceof JobAbortedError && error.code === "JOB_HARD_TIMEOUT";
}
