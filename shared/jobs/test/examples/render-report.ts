import type { ThreadHandler } from "../../src/thread.ts";
import type { renderReport } from "./workers.ts";

/** The handler of `renderReport`, in a thread of its own. */
export const run: ThreadHandler<typeof renderReport> = (job) => {
  let total = 0;
  for (let page = 1; page <= job.payload.pages; page += 1) {
    total += page;
    job.throwIfAborted();
  }
  job.log.info({ total }, "rendered");
  return { total };
};
