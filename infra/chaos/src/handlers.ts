import { setTimeout as sleep } from "node:timers/promises";
import { type Event, handle, type Job, JobAbortedError, NonRetryableError, subscribe } from "@warren/jobs";
import type { Ledger, RunSql } from "@warren/ledger";
import { ended, happened, loose, plainJobs, step, subscriptions, tick, undo } from "./jobs.ts";
import type { Notes } from "./notes.ts";

/** The attempt fails by its own will; another one will not. */
class Planned extends Error {}

interface Attempted {
  readonly kind: string;
  readonly job: string;
  readonly number: number;
  readonly key: string;
  readonly fence: number;
}

export interface HandlerParts {
  readonly ledger: Pick<Ledger, "transaction">;
  readonly notes: Notes;
}

/** Handlers of a team that uses Warren, which write down what they do where Warren does not look. */
export function createHandlers({ ledger, notes }: HandlerParts) {
  /** Notes start and end around `work`. */
  async function noted<T>(attempt: Attempted, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    notes.add({ what: "start", ...attempt });
    try {
      const result = await work();
      notes.add({ what: "end", ...attempt, outcome: "done" });
      return result;
    } catch (error) {
      const ownWill = error instanceof Planned || error instanceof NonRetryableError;
      const code = signal.aborted && signal.reason instanceof JobAbortedError ? signal.reason.code : codeOf(error);
      notes.add({ what: "end", ...attempt, outcome: ownWill ? "failed" : "stopped", code });
      throw error;
    }
  }

  /** The effect and the completion, in one commit. */
  async function effect(attempt: Attempted, complete: (run: RunSql) => Promise<void>): Promise<void> {
    await ledger.transaction(async (run) => {
      await run("insert into chaos.effects (kind, number, key, job, fence, pid) values ($1, $2, $3, $4, $5, $6)", [
        attempt.kind,
        attempt.number,
        attempt.key,
        attempt.job,
        attempt.fence,
        process.pid,
      ]);
      await complete(run);
    });
  }

  const plain = plainJobs.map((definition) =>
    handle(definition, (job) => {
      const { number, takesMs, failures } = job.payload;
      const attempt = attemptOf(job, number, job.key ?? "");
      return noted(attempt, job.signal, async () => {
        await sleep(takesMs, undefined, { signal: job.signal });
        if (job.attempt <= failures) throw new Planned();
        if (job.name !== loose.name) await effect(attempt, (run) => job.complete(run, undefined));
      });
    }),
  );

  const jobs = [
    ...plain,
    handle(tick, (job) => {
      const attempt = attemptOf(job, job.scheduledFor?.getTime() ?? 0, job.schedule ?? "");
      return noted(attempt, job.signal, () => effect(attempt, (run) => job.complete(run, undefined)));
    }),
    handle(step, (job) => {
      const { number, node, takesMs, failures, fatal } = job.payload;
      const attempt = attemptOf(job, number, node);
      return noted(attempt, job.signal, async () => {
        await sleep(takesMs, undefined, { signal: job.signal });
        if (job.attempt <= failures) throw new Planned();
        if (fatal) throw new NonRetryableError("planned");
        await effect(attempt, (run) => job.complete(run, { done: node }));
        return { done: node };
      });
    }),
    handle(undo, (job) => {
      const { number, node, takesMs, failures } = job.payload.payload;
      const attempt = attemptOf(job, number, node);
      return noted(attempt, job.signal, async () => {
        await sleep(takesMs, undefined, { signal: job.signal });
        if (job.attempt <= failures) throw new Planned();
        await effect(attempt, (run) => job.complete(run, undefined));
      });
    }),
    handle(ended, (job) => {
      const attempt = attemptOf(job, Number(job.payload.key), job.payload.state);
      return noted(attempt, job.signal, () => effect(attempt, (run) => job.complete(run, undefined)));
    }),
  ];

  const subscribed = subscriptions.map((name) =>
    subscribe(
      happened,
      { service: "chaos", name, inbox: true, concurrency: 4, attempts: 1_000, ladderMs: [500, 2_000] },
      (event: Event<"chaos.happened", { number: number; takesMs: number; failures: number }>) => {
        const { number, takesMs, failures } = event.data;
        const attempt = { kind: `event.${name}`, job: event.id, number, key: "", fence: event.attempt };
        return noted(attempt, event.signal, async () => {
          await sleep(takesMs, undefined, { signal: event.signal });
          if (event.attempt <= failures) throw new Planned();
          await effect(attempt, (run) => event.complete(run));
        });
      },
    ),
  );
  return { jobs, subscriptions: subscribed };
}

function codeOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "code" in error) return String(error.code);
  return error instanceof Error ? error.name : "unknown";
}

const attemptOf = (job: Pick<Job<unknown, unknown>, "id" | "name" | "fence">, number: number, key: string) => ({
  kind: job.name,
  job: job.id,
  number,
  key,
  fence: job.fence,
});
