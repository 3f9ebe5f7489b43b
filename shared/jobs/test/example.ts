import type { AmqpSession } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import { z } from "zod";
import { createClient, createWorker, defineJob, handle } from "../src/index.ts";

/** The example of the README; `example.integration.test.ts` runs it and holds the README to it. */
export async function example({ ledger, session, log, metrics }: Parts) {
  // begin
  const welcome = defineJob({
    name: "users.welcome",
    payload: z.object({ email: z.email(), name: z.string() }),
    result: z.object({ greeted: z.string() }),
  });
  const greet = handle(welcome, async ({ payload }) => ({ greeted: payload.name }));
  const worker = createWorker({ ledger, session, jobs: [greet], concurrency: 20, log, metrics });
  await worker.start();
  const client = createClient({ ledger, publisher: session.publisher(), log, metrics });
  const { id } = await client.enqueue(welcome, { email: "anna@example.com", name: "Anna" });
  // end
  return { id, worker, client };
}

interface Parts {
  readonly ledger: Ledger;
  readonly session: AmqpSession;
  readonly log: Logger;
  readonly metrics: Metrics;
}
