import type { Ledger, SentJob } from "@warren/ledger";
import type { Logger } from "@warren/observability";

/** Marks jobs as sent some seconds after they were: most have started by then and need no mark, which would be one more row version. */
export interface LateMarks extends AsyncDisposable {
  /** Remembers that the broker has these. */
  add(jobs: readonly SentJob[]): void;
}

/** Twice this at most from publishing to the mark, which must come before the ledger's send lease of 10 s ends. */
const everyMs = 3_000;
/** Few enough that one statement does not keep a core of the database for long. */
const jobsPerCall = 500;

export function createLateMarks({
  ledger,
  log,
}: {
  readonly ledger: Pick<Ledger, "confirmSent">;
  readonly log: Logger;
}): LateMarks {
  let fresh: SentJob[] = [];
  let aged: SentJob[] = [];
  let marking: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    const due = aged;
    aged = fresh;
    fresh = [];
    if (due.length > 0) marking = marking.then(() => mark(due));
  }, everyMs).unref();

  /** Never rejects. */
  async function mark(jobs: readonly SentJob[]): Promise<void> {
    for (let start = 0; start < jobs.length; start += jobsPerCall) {
      try {
        await ledger.confirmSent(jobs.slice(start, start + jobsPerCall));
      } catch (error) {
        log.warn({ err: error }, "sent jobs not marked; they may be published twice, and run once");
      }
    }
  }

  return {
    add(jobs) {
      for (const job of jobs) fresh.push(job);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await marking;
      const rest = [...aged, ...fresh];
      aged = [];
      fresh = [];
      await mark(rest);
    },
  };
}
