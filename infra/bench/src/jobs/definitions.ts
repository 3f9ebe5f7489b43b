import { defineJob } from "@warren/jobs";
import { z } from "zod";

const payload = z.object({ number: z.int(), sentAtNs: z.string(), filler: z.string() });

/** The same no-op job twice: one id a message, and bundled as by default. */
export const alone = defineJob({ name: "bench.alone", queue: "bench", payload, bundleSize: 1 });
export const bundled = defineJob({ name: "bench.bundled", queue: "bench", payload });

/** Monotonic nanoseconds, comparable between processes of this machine. */
export function nowNs(): bigint {
  return process.hrtime.bigint();
}

/** A payload of about `bytes` bytes of JSON. */
export function payloadOf(number: number, bytes: number): z.infer<typeof payload> {
  return { number, sentAtNs: String(nowNs()), filler: "x".repeat(Math.max(0, bytes - 60)) };
}
