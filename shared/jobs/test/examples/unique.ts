import { z } from "zod";
import { type Client, defineJob } from "../../src/index.ts";

/** The examples of `infra/docs/unique.md`; `unique.example.integration.test.ts` runs them. */

/** One at a time for each account, whatever else the payload says; what comes while it runs, runs once more after it. */
export const syncAccount = defineJob({
  name: "accounts.sync",
  payload: z.object({ account: z.string(), revision: z.number() }),
  unique: { by: ["account"], onConflict: "keep-last" },
});

/** Debounce: the index is rebuilt once, when nobody has asked for it for as long as the delay says. */
export const rebuildIndex = defineJob({
  name: "search.rebuild",
  payload: z.object({ index: z.string() }),
  unique: { by: ({ index }) => index, until: "started", onConflict: "extend" },
});

/** Throttle: at most one reminder a day. */
export function remind(client: Client, definition: typeof reminder, user: string) {
  return client.enqueue(definition, { user }, { unique: { key: user, forMs: 24 * 3_600_000 } });
}

export const reminder = defineJob({ name: "users.remind", payload: z.object({ user: z.string() }) });
