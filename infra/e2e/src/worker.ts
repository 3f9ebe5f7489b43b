import { setTimeout as sleep } from "node:timers/promises";
import { createWorker, handle } from "@warren/jobs";
import { runService } from "@warren/service";
import { z } from "zod";
import { crash, exact } from "./jobs.ts";

/** A worker of a team that uses Warren: its handlers write into the team's own table. */
await runService({
  name: "e2e-worker",
  version: "0.1.0",
  defaultPort: 8099,
  config: z.object({
    E2E_CONCURRENCY: z.coerce.number().int().min(1).default(10).describe("handlers at once"),
  }),
  needs: { ledger: true, amqp: "required" },
  async start({ config, ledger, session, log, metrics, tracing }) {
    const worker = createWorker({
      ledger,
      session,
      log,
      metrics,
      tracing,
      concurrency: config.E2E_CONCURRENCY,
      jobs: [
        handle(exact, async (job) => {
          await sleep(job.payload.takesMs, undefined, { signal: job.signal });
          await ledger.transaction(async (run) => {
            await run("insert into effects (job_id, number, fence, pid) values ($1, $2, $3, $4)", [
              job.id,
              job.payload.number,
              job.fence,
              process.pid,
            ]);
            await job.complete(run, undefined);
          });
        }),
        handle(crash, () => process.kill(process.pid, "SIGKILL")),
      ],
    });
    await worker.start();
    return {
      quiet: () => worker.quiet(),
      drain: (deadline) => worker.drain(deadline),
      [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
    };
  },
});
