import { defineEvent } from "@warren/jobs";
import { z } from "zod";

/** The event of the benchmark; validated at both ends, as any event is. */
export const measured = defineEvent({
  type: "bench.measured",
  schema: z.object({ number: z.int(), sentAtNs: z.string(), filler: z.string() }),
});

export const subscription = { service: "bench", name: "measured", concurrency: 200, prefetch: 1_000 } as const;
