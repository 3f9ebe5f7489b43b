import { defineJob, handle } from "@warren/jobs";
import { openWarren } from "@warren/service";
import { z } from "zod";

/** The example of the READMEs; `open-warren.integration.test.ts` runs it and holds them to it. */
export async function tenLines(environment: Readonly<Record<string, string>>) {
  // begin
  const welcome = defineJob({
    name: "users.welcome",
    payload: z.object({ email: z.email(), name: z.string() }),
    result: z.object({ greeted: z.string() }),
  });
  const greet = handle(welcome, async ({ payload }) => ({ greeted: payload.name }));

  await using warren = await openWarren({ name: "shop", environment }); // DATABASE_URL, AMQP_URL
  await warren.startWorker([greet], { concurrency: 20 });
  const { id } = await warren.client.enqueue(welcome, { email: "anna@example.com", name: "Anna" });
  const result = await warren.control.waitFor(id);
  // end
  return result;
}
