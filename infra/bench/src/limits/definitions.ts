import { defineJob } from "@warren/jobs";
import { z } from "zod";

const payload = z.object({ number: z.int(), filler: z.string() });

/** The same no-op job in four queues: direct, governed as one line, governed with turns between keys, and the latter with limits a key. */
export const queues = ["direct", "line", "turns", "keys"] as const;
export type QueueName = (typeof queues)[number];

export const jobs = queues.map((queue) => defineJob({ name: `bench.${queue}`, queue, payload }));
