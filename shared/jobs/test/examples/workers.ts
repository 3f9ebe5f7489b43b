import { z } from "zod";
import { createWorker, defineJob, handle, handleBatch, handleInThread, type WorkerOptions } from "../../src/index.ts";

export const chargeCard = defineJob({
  name: "cards.charge",
  queue: "critical",
  payload: z.object({ cents: z.number() }),
});
export const indexPage = defineJob({ name: "pages.index", queue: "low", payload: z.object({ url: z.url() }) });
export const renderReport = defineJob({
  name: "reports.render",
  queue: "reports",
  payload: z.object({ pages: z.number() }),
  result: z.object({ total: z.number() }),
});

/** The example of `infra/docs/workers.md`. */
export function workersExample(parts: Pick<WorkerOptions, "ledger" | "session" | "log" | "metrics">, index: Index) {
  // begin
  return createWorker({
    ...parts,
    queues: { critical: 6, reports: 2, low: 1 },
    concurrency: { min: 20, max: 100 },
    jobs: [
      handle(chargeCard, async ({ payload }) => ({ charged: payload.cents })),
      handleBatch(indexPage, { maxSize: 20, maxWaitMs: 50 }, (jobs) =>
        Promise.allSettled(jobs.map(({ payload }) => index(payload.url))),
      ),
      handleInThread(renderReport, new URL("./render-report.ts", import.meta.url), { threads: 2 }),
    ],
  });
  // end
}

type Index = (url: string) => Promise<number>;
