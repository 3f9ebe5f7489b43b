import { setTimeout as sleep } from "node:timers/promises";
import { WarrenError } from "@warren/contracts";

/** What a caller was told. Wall clock of this machine, which is the database's too. */
export interface Promised {
  readonly kind: string;
  readonly number: number;
  readonly key: string;
  /** `unknown`: the call failed, and what it asked for may or may not be there. */
  readonly answer: "acked" | "unknown";
  /** The answered id: of the job that holds the key where no new one was made. */
  readonly job: string;
  readonly created: boolean;
  readonly sentMs: number;
  readonly answeredMs: number;
}

/** A flow as it was started. */
export interface PromisedFlow {
  readonly number: number;
  readonly answer: "acked" | "unknown";
  /** The node that can never succeed. */
  readonly fatal: string | undefined;
  /** Somebody asked to cancel it; what came of that depends on who was faster. */
  readonly cancelled: boolean;
}

/** A call that failed with an error which says that trying again is useless. */
export interface Refusal {
  readonly kind: string;
  readonly code: string;
  readonly message: string;
}

export interface Answer {
  readonly id: string;
  readonly created: boolean;
}

interface Call {
  readonly kind: string;
  readonly number: number;
  readonly key: string;
}

const pauseMs = 150;

/** Makes calls and keeps what was promised. `giveUp` ends the patience of careful callers. */
export function createPromises(giveUp: AbortSignal) {
  const jobs: Promised[] = [];
  const flows: PromisedFlow[] = [];
  const refusals: Refusal[] = [];
  const failures = new Map<string, number>();

  /** The answer, or undefined when there was none. Only our own errors are outages: others are mistakes of the load. */
  async function tryTo<T>(kind: string, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof WarrenError)) throw error;
      failures.set(error.code, (failures.get(error.code) ?? 0) + 1);
      if (!error.retryable) refusals.push({ kind, code: error.code, message: error.message });
      return undefined;
    }
  }

  /** Asks until there is an answer, as a careful caller does: `ask` must mean the same each time. */
  async function insist<T>(kind: string, ask: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      const answer = await tryTo(kind, ask);
      if (answer !== undefined || giveUp.aborted) return answer;
      await sleep(pauseMs);
    }
  }

  const keep = (call: Call, sentMs: number, answer: Answer | undefined): boolean => {
    jobs.push({
      ...call,
      answer: answer === undefined ? "unknown" : "acked",
      job: answer?.id ?? "",
      created: answer?.created ?? false,
      sentMs,
      answeredMs: Date.now(),
    });
    return answer !== undefined;
  };

  return {
    jobs,
    flows,
    refusals,
    /** How often calls failed, by code. */
    failures: () => Object.fromEntries(failures),
    insist,
    tryTo,
    once: async (call: Call, ask: () => Promise<Answer>): Promise<boolean> => {
      const sentMs = Date.now();
      return keep(call, sentMs, await tryTo(call.kind, ask));
    },
    until: async (call: Call, ask: () => Promise<Answer>): Promise<boolean> => {
      const sentMs = Date.now();
      return keep(call, sentMs, await insist(call.kind, ask));
    },
  };
}

export type Promises = ReturnType<typeof createPromises>;
