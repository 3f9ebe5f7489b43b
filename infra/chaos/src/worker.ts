import { createSubscriber, createWorker } from "@warren/jobs";
import { runService } from "@warren/service";
import { z } from "zod";
import { createHandlers } from "./handlers.ts";
import { openNotes } from "./notes.ts";

/** The victim: a worker and a subscriber, whose handlers keep a record of their own. */
await runService({
  name: "chaos-worker",
  version: "0.1.0",
  defaultPort: 8098,
  config: z.object({
    CHAOS_NOTES: z.string().min(1).describe("the folder of the handlers' notes"),
    CHAOS_CONCURRENCY: z.coerce.number().int().min(1).default(12).describe("handlers at once"),
  }),
  needs: { ledger: true, amqp: "required" },
  async start({ config, ledger, session, log, metrics, tracing }) {
    const handlers = createHandlers({ ledger, notes: openNotes(config.CHAOS_NOTES) });
    const worker = createWorker({
      ledger,
      session,
      log,
      metrics,
      tracing,
      concurrency: config.CHAOS_CONCURRENCY,
      jobs: handlers.jobs,
    });
    const subscriber = createSubscriber({ session, ledger, subscriptions: handlers.subscriptions, log, metrics });
    await worker.start();
    await subscriber.start();
    return {
      quiet: async () => {
        await Promise.all([worker.quiet(), subscriber.quiet()]);
      },
      drain: async (deadline) => {
        const ended = await Promise.all([worker.drain(deadline), subscriber.drain(deadline)]);
        return ended.every(Boolean);
      },
      async [Symbol.asyncDispose]() {
        await Promise.all([worker[Symbol.asyncDispose](), subscriber[Symbol.asyncDispose]()]);
      },
    };
  },
});
