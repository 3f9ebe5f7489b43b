import type { Client } from "@warren/jobs";
import { tick } from "./jobs.ts";

export interface ExpectedSchedule {
  readonly name: string;
  readonly everyMs: number;
  readonly startMs: number;
  readonly endMs: number;
  /** `each`: no instant may be missed. `some`: instants that passed in an outage may be left out. */
  readonly instants: "each" | "some";
}

/** Schedules for the time of the load; both ends are on their grids. */
export function planSchedules(fromMs: number, forMs: number): readonly ExpectedSchedule[] {
  const startMs = Math.ceil(fromMs / 6_000) * 6_000;
  const endMs = Math.max(startMs, Math.floor((fromMs + forMs) / 6_000) * 6_000);
  return [
    { name: "chaos.each-second", everyMs: 1_000, startMs, endMs, instants: "each" },
    { name: "chaos.each-3-seconds", everyMs: 3_000, startMs, endMs, instants: "each" },
    { name: "chaos.now-and-then", everyMs: 2_000, startMs, endMs, instants: "some" },
  ];
}

export async function makeSchedules(client: Client, schedules: readonly ExpectedSchedule[]): Promise<void> {
  for (const { name, everyMs, startMs, endMs, instants } of schedules) {
    await client.schedules.upsert({
      name,
      job: tick,
      payload: { schedule: name },
      when: { everyMs },
      start: new Date(startMs),
      end: new Date(endMs),
      misfire: instants === "each" ? { catchUp: 1_000 } : "once",
      overlap: "allow",
    });
  }
}
