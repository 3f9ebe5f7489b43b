import { apiCodes } from "./codes/api.ts";
import { brokerCodes } from "./codes/broker.ts";
import { controlCodes } from "./codes/control.ts";
import { deliveriesCodes } from "./codes/deliveries.ts";
import { eventsCodes } from "./codes/events.ts";
import { flowsCodes } from "./codes/flows.ts";
import { jobsCodes } from "./codes/jobs.ts";
import { ledgerCodes } from "./codes/ledger.ts";
import { outboundCodes } from "./codes/outbound.ts";
import { payloadsCodes } from "./codes/payloads.ts";
import { platformCodes } from "./codes/platform.ts";
import { requestsCodes } from "./codes/requests.ts";
import { routingCodes } from "./codes/routing.ts";
import { schedulesCodes } from "./codes/schedules.ts";
import { sourcesCodes } from "./codes/sources.ts";
import { webhooksCodes } from "./codes/webhooks.ts";

/**
 * The catalogue of error codes: what each means and what to do about it. Every thrown error of Warren carries one of them;
 * the HTTP API repeats it in `problem+json`, the ledger keeps it with a failed attempt.
 */
export const errorCatalogue = {
  ...jobsCodes,
  ...eventsCodes,
  ...brokerCodes,
  ...ledgerCodes,
  ...platformCodes,
  ...webhooksCodes,
  ...routingCodes,
  ...deliveriesCodes,
  ...outboundCodes,
  ...flowsCodes,
  ...requestsCodes,
  ...schedulesCodes,
  ...payloadsCodes,
  ...controlCodes,
  ...apiCodes,
  ...sourcesCodes,
} as const;

export type ErrorCode = keyof typeof errorCatalogue;

export interface WarrenErrorOptions {
  /** Whether the same call may succeed later without a change. Default `false`. */
  readonly retryable?: boolean;
  /** Facts for logs and clients; never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Base of every error that Warren throws on purpose. Decide on `code`, never on `message`. */
export class WarrenError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: WarrenErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable === true;
    this.details = options.details ?? {};
  }
}
