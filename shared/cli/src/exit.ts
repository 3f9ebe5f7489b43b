import { type ErrorCode, errorCatalogue, WarrenError } from "@warren/contracts";

/** What the process answers to the shell. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, unhealthy: 3, notFound: 4 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const codes: Partial<Record<ErrorCode, ExitCode>> = {
  CONFIG_INVALID: exitCodes.usage,
  AMQP_OPTION_INVALID: exitCodes.usage,
  AMQP_NOT_CONNECTED: exitCodes.unhealthy,
  JOB_OPTION_INVALID: exitCodes.usage,
  JOB_OPTION_UNKNOWN: exitCodes.usage,
  SCHEDULE_UNKNOWN: exitCodes.notFound,
  SCHEDULE_WHEN_INVALID: exitCodes.usage,
  SCHEDULE_NEVER_FIRES: exitCodes.usage,
  SCHEDULE_ZONE_UNKNOWN: exitCodes.usage,
  SCHEDULE_TOO_FREQUENT: exitCodes.usage,
  API_KEY_INVALID: exitCodes.usage,
  API_SCOPE_MISSING: exitCodes.usage,
  API_REQUEST_INVALID: exitCodes.usage,
  API_UNREACHABLE: exitCodes.unhealthy,
  SOURCE_SECRET_UNKNOWN: exitCodes.notFound,
  WEBHOOK_SOURCE_UNKNOWN: exitCodes.notFound,
  ROUTE_RULE_UNKNOWN: exitCodes.notFound,
  ENDPOINT_UNKNOWN: exitCodes.notFound,
  DELIVERY_UNKNOWN: exitCodes.notFound,
  REQUEST_NOT_FOUND: exitCodes.notFound,
  WEBHOOK_EVENT_NOT_FOUND: exitCodes.notFound,
  REPLAY_NOT_FOUND: exitCodes.notFound,
  JOB_NOT_FOUND: exitCodes.notFound,
  BULK_NOT_FOUND: exitCodes.notFound,
  LEDGER_UNAVAILABLE: exitCodes.unhealthy,
  PAYLOAD_KEY_RING_INVALID: exitCodes.usage,
  PAYLOAD_KEY_RING_MISSING: exitCodes.usage,
  PAYLOAD_STORE_INVALID: exitCodes.usage,
  PAYLOAD_STORE_MISSING: exitCodes.usage,
  PAYLOAD_STORE_UNAVAILABLE: exitCodes.unhealthy,
  LEDGER_SCHEMA_BEHIND: exitCodes.unhealthy,
  LEDGER_SCHEMA_NEWER: exitCodes.unhealthy,
};

export interface Failure {
  readonly exitCode: ExitCode;
  /** Some lines for people, the fix last. */
  readonly text: string;
}

/** How a command's error ends the process. */
export function describeFailure(error: unknown): Failure {
  if (!(error instanceof WarrenError)) {
    const message = error instanceof Error ? error.message : String(error);
    return { exitCode: exitCodes.failed, text: `error: ${message}` };
  }
  return {
    exitCode: codes[error.code] ?? exitCodes.failed,
    text: `error ${error.code}: ${error.message}\nfix: ${errorCatalogue[error.code].fix}`,
  };
}
