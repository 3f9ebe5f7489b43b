import { defineJob } from "@warren/jobs";
import { z } from "zod";

const quick = { kind: "fixed", delayMs: 200 } as const;

/** Writes its effect and its completion in one transaction: must be there exactly once, whatever dies. */
export const exact = defineJob({
  name: "e2e.exact",
  queue: "e2e",
  payload: z.object({ number: z.int(), takesMs: z.int().min(0) }),
  backoff: quick,
});

/** Kills its own process each time it runs. */
export const crash = defineJob({
  name: "e2e.crash",
  queue: "e2e",
  payload: z.object({ number: z.int() }),
  maxStalls: 1,
  backoff: quick,
});
