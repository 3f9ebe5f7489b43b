/**
 * The catalogue of error codes: what each means and what to do about it. Every thrown error of Warren carries one of them;
 * the HTTP API repeats it in `problem+json`, the ledger keeps it with a failed attempt.
 */
export const errorCatalogue = {
  CONFIG_INVALID: {
    meaning: "A setting from the environment is missing or malformed.",
    fix: "The message names the variable and the expected form; set it and start again.",
  },
  INTERNAL: {
    meaning: "An unexpected failure inside Warren.",
    fix: "Read the cause in the log under the same correlation id and report it.",
  },
  TEMPLATE_UNKNOWN: {
    meaning: "A message names a template, or a version of it, that this build does not have.",
    fix: "Deploy the build that has it, or correct the name; then retry the job.",
  },
  TEMPLATE_LOCALE_INVALID: {
    meaning: 'The recipient\'s locale is not a BCP 47 tag such as "ru-RU".',
    fix: "Correct the user's locale and enqueue the message again.",
  },
  TEMPLATE_DATA_INVALID: {
    meaning:
      "The data of a message does not fit the template version's schema, or a text uses a field that the data lacks.",
    fix: "The error names the field; correct the data and enqueue the message again.",
  },
  DELIVERY_REJECTED: {
    meaning: "The provider refused this message for good: unknown recipient, blocked content, or too large.",
    fix: "Read the provider's answer in the delivery; correct the address or the content.",
  },
  DELIVERY_HELD: {
    meaning:
      "Nobody knows whether an earlier attempt was delivered, and the channel's policy leaves the decision to a person.",
    fix: "Look the message up at the provider, then resolve the delivery as accepted or retry the job.",
  },
  DELIVERY_FENCED: {
    meaning: "A newer attempt of the same job has taken the delivery over.",
    fix: "Nothing to do: the newer attempt decides.",
  },
  MAIL_AUTH_FAILED: {
    meaning: "The SMTP server refused the login or the sender, so no mail can be sent.",
    fix: "Correct SMTP_URL or WARREN_MAIL_FROM; held messages go out by themselves after it works.",
  },
  MAIL_SERVER_BUSY: {
    meaning: "The SMTP server put this message off with a temporary answer (4xx).",
    fix: "Nothing to do: the message is retried; if it goes on, read the server's answer in the delivery.",
  },
  PAYMENT_NOT_FOUND: {
    meaning: "The payment provider does not know the object that a notification was about.",
    fix: "A forged notification, or keys of another shop: compare the shop id and the object id.",
  },
  PAYMENT_MISMATCH: {
    meaning: "The payment provider contradicts the notification: another status, amount or currency.",
    fix: "Treat the notification as forged until the provider's own record says otherwise.",
  },
  PAYMENT_BEHIND: {
    meaning: "A notification claims a state that the provider's API does not show yet.",
    fix: "Nothing to do: it is asked again; if it ends dead, the notification was forged.",
  },
  PAYMENT_ANSWER_INVALID: {
    meaning: "The payment provider answered something that is not the documented object.",
    fix: "Check the API's base URL and version; then retry the job.",
  },
} as const satisfies Record<string, { readonly meaning: string; readonly fix: string }>;

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
