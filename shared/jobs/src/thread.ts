/** What a handler's file needs at run time in its thread: light, without broker or database. */
export { NonRetryableError, snooze } from "./errors.ts";
export type { ThreadHandler, ThreadJob, ThreadLog } from "./threads/thread-job.ts";
