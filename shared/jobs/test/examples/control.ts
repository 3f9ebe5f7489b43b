import { type Control, defineJob, handle } from "@warren/jobs";
import { z } from "zod";

export const importRows = defineJob({
  name: "import.rows",
  payload: z.object({ rows: z.int().positive() }),
  result: z.object({ imported: z.number() }),
  resultTtlMs: 3_600_000,
});

export const handleImport = handle(importRows, async (job) => {
  for (let row = 1; row <= job.payload.rows; row += 1) {
    // aborts with JOB_CANCELLED when somebody cancels the job; clean up in a `finally`
    job.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 5));
    job.progress({ row, of: job.payload.rows });
  }
  job.note(`imported ${job.payload.rows} rows`);
  return { imported: job.payload.rows };
});

/** From any process: waits for a job, and cancels it if that takes too long. */
export async function importedWithin(control: Control, id: string, timeoutMs: number): Promise<unknown> {
  try {
    return await control.waitFor(id, { timeoutMs });
  } catch (error) {
    await control.cancel(id, { reason: "took too long", by: "importedWithin" });
    throw error;
  }
}
