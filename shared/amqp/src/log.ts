import type { Logger } from "@warren/observability";

/** What this room writes to; never a message's body or headers. */
export type AmqpLog = Pick<Logger, "debug" | "info" | "warn" | "error">;
