export { type ErrorCode, errorCatalogue, WarrenError, type WarrenErrorOptions } from "./errors.ts";
export { type JobMessage, jobMessage, maxJobsPerMessage } from "./job-message.ts";
