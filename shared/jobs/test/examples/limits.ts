import type { Ledger } from "@warren/ledger";
import { z } from "zod";
import { type Client, createLimits, defineJob } from "../../src/index.ts";

export const send = defineJob({ name: "mail.send", queue: "mails", payload: z.object({ to: z.email() }) });

/** Limits as a service declares them at its start, and as people change them at run time. */
export async function declareLimits(ledger: Pick<Ledger, "limits">) {
  const limits = createLimits({ ledger });
  // at deploy: what people changed since the last deploy of the same limits stays
  await limits.declare({ mails: { concurrency: 20, rate: "100/s", keyConcurrency: 2 } });
  // at run time: at once, over all workers, without a restart
  await limits.set("mails", { rate: { limit: 10, perMs: 60_000, burst: 1 } });
  await limits.setKey("mails", "acme", { concurrency: 5 });
  return limits;
}

/** Each mail belongs to a customer, whose turn it waits for. */
export function enqueueFor(client: Client, customer: string, to: string) {
  return client.enqueue(send, { to }, { key: customer });
}

/** Nothing to a customer who complained, until somebody has looked. */
export async function hold(ledger: Pick<Ledger, "limits">, customer: string) {
  await createLimits({ ledger }).pause("mails", { key: customer });
}
