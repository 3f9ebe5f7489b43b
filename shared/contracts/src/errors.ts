/**
 * The catalogue of error codes: what each means and what to do about it. Every thrown error of Warren carries one of them;
 * the HTTP API repeats it in `problem+json`, the ledger keeps it with a failed attempt.
 */
export const errorCatalogue = {
  CONFIG_INVALID: {
    meaning: "A setting from the environment is missing or malformed.",
    fix: "The message names the variable and the expected form; set it and start again.",
  },
  JOB_OPTION_UNKNOWN: {
    meaning: "A job definition, an enqueue or a worker was given an option that does not exist.",
    fix: "The message names the nearest known option; correct the spelling or remove it.",
  },
  JOB_OPTION_INVALID: {
    meaning: "An option of a job definition, an enqueue or a worker is out of range or of the wrong type.",
    fix: "The message names the option and what was expected.",
  },
  JOB_PAYLOAD_INVALID: {
    meaning: "The payload does not match the schema of the job definition.",
    fix: "The message names the path to the field; correct the caller, or the schema together with its version.",
  },
  JOB_PAYLOAD_UNSERIALISABLE: {
    meaning:
      "The payload cannot be written as JSON (a cycle, a BigInt, a character that JSON in Postgres cannot hold).",
    fix: "Enqueue plain data: strings without U+0000, numbers, booleans, null, arrays and objects.",
  },
  JOB_RESULT_INVALID: {
    meaning: "The handler returned a value that does not match the result schema of its job definition.",
    fix: "The message names the path to the field; correct the handler or the schema.",
  },
  JOB_RESULT_UNSERIALISABLE: {
    meaning: "The handler returned a value that cannot be written as JSON (a cycle, a BigInt).",
    fix: "Return plain data, or nothing.",
  },
  JOB_NOT_RETRYABLE: {
    meaning: "The handler threw a NonRetryableError: no further attempt can succeed.",
    fix: "Read the error's message and cause; correct the data and enqueue again.",
  },
  JOB_FAILED: {
    meaning: "The handler threw an error without a code of its own.",
    fix: "Read the message and the stack kept with the attempt.",
  },
  JOB_ATTEMPTS_EXHAUSTED: {
    meaning: "Every allowed attempt failed.",
    fix: "Read the errors kept with the job, mend the cause, and enqueue again or raise `attempts`.",
  },
  JOB_BACKOFF_STOPPED: {
    meaning: "The job's own backoff function answered that there shall be no further attempt.",
    fix: "Read the error of the last attempt.",
  },
  JOB_BACKOFF_FAILED: {
    meaning:
      "The job's own backoff function threw, or answered neither a delay nor `stop`; the default backoff was used.",
    fix: "Correct the function: it returns milliseconds from 0, or -1 or `stop`.",
  },
  JOB_TIMEOUT: {
    meaning: "The attempt ran longer than `timeoutMs`, its signal was aborted, and the handler gave up.",
    fix: "Make the work shorter or raise `timeoutMs`.",
  },
  JOB_HARD_TIMEOUT: {
    meaning: "The attempt ran longer than `hardTimeoutMs` and ignored its signal; it was given up while still running.",
    fix: "Pass `job.signal` to what the handler awaits; restart the worker if `warren_worker_abandoned_handlers` grows.",
  },
  JOB_UNKNOWN: {
    meaning: "No worker of the queue handles this job name and version, though it was offered to them for a long time.",
    fix: "Deploy a worker that handles it, then enqueue it again.",
  },
  JOB_LEASE_LOST: {
    meaning:
      "The worker did not beat for longer than its lease, so its jobs were given to others; the handler was aborted.",
    fix: "Look for a blocked event loop, a suspended process or a lost database connection on that worker.",
  },
  JOB_WORKER_STOPPING: {
    meaning:
      "The worker is shutting down and its time to finish is over; the job goes to another one, no attempt is lost.",
    fix: "Nothing; raise WARREN_SHUTDOWN_TIMEOUT_MS if handlers need longer to finish.",
  },
  JOB_COMPLETION_ROLLED_BACK: {
    meaning:
      "The handler completed its job inside a transaction that was then rolled back, and returned without an error.",
    fix: "Let the error that rolled the transaction back reach Warren; the job is retried.",
  },
  JOB_UNDELIVERABLE: {
    meaning: "Messages naming this job hit the broker's delivery limit again and again before any worker claimed it.",
    fix: "Look for workers that die on receiving it; enqueue it again when they are mended.",
  },
  WORKER_STATE_INVALID: {
    meaning: "A worker was started twice, or after it was let go.",
    fix: "Create a new worker.",
  },
  AMQP_UNROUTABLE: {
    meaning: "The broker confirmed a message that no queue took, or its exchange does not exist.",
    fix: "Start the service that declares the queue, or run `npm run warren -- topology apply`; the error names exchange and routing key.",
  },
  AMQP_PUBLISH_TIMEOUT: {
    meaning: "The broker did not confirm a message within its deadline; it may or may not have been stored.",
    fix: "Look at the connection state in /readyz (down, blocked by an alarm?); publish again under the same message id.",
  },
  AMQP_NACKED: {
    meaning: "The broker refused to take responsibility for a message (a queue is over its limit or lost its quorum).",
    fix: "Look at the queue's state and limits, then publish again under the same message id.",
  },
  AMQP_CLOSED: {
    meaning: "The session, publisher or consumer was closed, or told to take no more.",
    fix: "Publish before shutdown begins; what was not confirmed is sent by the dispatcher.",
  },
  AMQP_MESSAGE_INVALID: {
    meaning: "A message cannot be written to the wire: too large, or headers over 64 KiB.",
    fix: "Keep the data in the ledger and send its id; the message names the limit.",
  },
  AMQP_CHANNEL_ERROR: {
    meaning: "The broker closed the channel several times in a row while this message was in flight.",
    fix: "Read the broker's reply in the cause: usually a missing permission or a limit of the broker.",
  },
  AMQP_TOPOLOGY_MISMATCH: {
    meaning:
      "A queue or an exchange exists in the broker with other arguments than declared; AMQP cannot change them in place.",
    fix: "Stop the workers of that queue and run the command in the message: `npm run warren -- topology migrate <queue>` keeps its messages.",
  },
  AMQP_TOPOLOGY_CONFLICT: {
    meaning: "Two parts of one process declare the same exchange or queue differently.",
    fix: "Make both use the same topology function; the message names the object.",
  },
  AMQP_DECLARE_FAILED: {
    meaning: "The broker refused to declare an exchange, a queue or a binding.",
    fix: "Give the user configure, write and read permissions on the vhost; the message repeats the broker's reply.",
  },
  AMQP_NOT_CONNECTED: {
    meaning: "There is no connection to the broker right now.",
    fix: "Check AMQP_URL and that the broker runs; the session goes on trying by itself.",
  },
  AMQP_OPTION_INVALID: {
    meaning: "An option of a session, publisher or consumer is out of range or malformed.",
    fix: "The message names the option and what was expected.",
  },
  AMQP_QUEUE_IN_USE: {
    meaning: "A queue cannot be migrated while consumers are attached to it.",
    fix: "Stop the workers that consume the queue, run the migration again, then start them.",
  },
  PROVIDER_TIMEOUT: {
    meaning: "An external API did not answer within the operation's timeout; whether it acted is not known.",
    fix: "Nothing if it passes; otherwise read the provider's status page, or raise `timeoutMs` of the operation.",
  },
  PROVIDER_UNAVAILABLE: {
    meaning: "An external API could not be reached, broke the connection, or answered that it failed (408, 425, 5xx).",
    fix: "Nothing if it passes: jobs wait and are tried again; otherwise look at the network and the provider's status page.",
  },
  PROVIDER_RATE_LIMITED: {
    meaning: "An external API answered that we call too often (429).",
    fix: "Lower the concurrency of the operation or ask the provider for a higher limit; its Retry-After is honoured.",
  },
  PROVIDER_REJECTED: {
    meaning: "An external API understood the request and refused it; the same request will be refused again.",
    fix: "Read the status in the details: 401 and 403 mean credentials, 404 a wrong id or base URL, 400 and 422 the data.",
  },
  PROVIDER_RESPONSE_INVALID: {
    meaning:
      "An external API answered success with a body that is too large, is not JSON, or has another shape than its documentation.",
    fix: "The message names the field; correct the schema if the provider changed its API. The call may have taken effect.",
  },
  PROVIDER_BREAKER_OPEN: {
    meaning: "The call was not made: the provider failed repeatedly and its breaker is open.",
    fix: "Nothing: jobs are held without losing an attempt, and go on when a probe succeeds. `warren_breaker_state` shows it.",
  },
  PROVIDER_BULKHEAD_FULL: {
    meaning:
      "The call was not made: as many calls of this operation as allowed are running and waiting in this process.",
    fix: "Lower the worker's concurrency or raise `bulkhead` of the operation.",
  },
  JOB_FENCED: {
    meaning: "The attempt no longer owns its job: another worker has it, or it is finished. Nothing was settled.",
    fix: "Nothing; the effects of the caller's transaction roll back. Look for a worker that was suspended or blocked.",
  },
  JOB_STALLED: {
    meaning: "The job lost its worker more often than `maxStalls` allows; most likely it crashes the process.",
    fix: "Look for the crash in the logs of the worker named with the job, mend the handler, and enqueue again.",
  },
  LEDGER_UNAVAILABLE: {
    meaning: "Postgres cannot be reached, is shutting down, is out of resources, or did not answer in time.",
    fix: "Nothing was lost; the call is repeated. Check that Postgres runs, and DATABASE_URL, if it lasts.",
  },
  LEDGER_CONFLICT: {
    meaning: "Two transactions got in each other's way (deadlock or serialization failure).",
    fix: "Run the whole transaction again.",
  },
  LEDGER_DATA_INVALID: {
    meaning: "A value cannot be stored: U+0000 or a lone surrogate in a string, or something out of range.",
    fix: "The message names it; correct the caller.",
  },
  LEDGER_STATEMENT_FAILED: {
    meaning: "Postgres refused a statement: a missing right, table or column.",
    fix: "Check the rights of the user in DATABASE_URL and run `npm run warren -- migrate`.",
  },
  LEDGER_SETTING_INVALID: {
    meaning: "A setting of the ledger is malformed.",
    fix: "The message names the setting and the expected form.",
  },
  LEDGER_SCHEMA_NEWER: {
    meaning: "The database was migrated by a newer version of Warren than this one.",
    fix: "Deploy the newer version everywhere; an older binary must not write to this schema.",
  },
  LEDGER_SCHEMA_BEHIND: {
    meaning: "The database lacks migrations that this version of Warren needs.",
    fix: "Run `npm run warren -- migrate`.",
  },
  LEDGER_MIGRATION_CHANGED: {
    meaning: "A migration that was applied to this database differs from the file of the same number.",
    fix: "Restore the file; a change of the schema is a new migration.",
  },
  LEDGER_MIGRATION_FAILED: {
    meaning: "A migration could not be applied; it was rolled back whole.",
    fix: "Read the cause, mend it, and run `npm run warren -- migrate` again.",
  },
  LEDGER_WORKER_ENDED: {
    meaning: "The worker was retired or taken for dead, so it may not claim under its id any more.",
    fix: "The worker registers again under a new id by itself; look for a blocked event loop if it happens often.",
  },
  SERVICE_PORT_TAKEN: {
    meaning: "Another program already listens on the service's port.",
    fix: "Set PORT to a free one, or stop the other program; the message names the port.",
  },
  SERVICE_START_FAILED: {
    meaning: "A service could not start: its own start failed, for a reason that waiting will not cure.",
    fix: "The cause in the log says what is missing.",
  },
  INTERNAL: {
    meaning: "An unexpected failure inside Warren.",
    fix: "Read the cause in the log under the same correlation id and report it.",
  },
  LOCAL_BROKER_MISSING: {
    meaning: "A private RabbitMQ node was asked for, and RabbitMQ is not installed on this machine.",
    fix: "Install it (Debian, Ubuntu: `apt-get install rabbitmq-server`; macOS: `brew install rabbitmq`), or set AMQP_URL.",
  },
  LOCAL_PORT_TAKEN: {
    meaning: "Another program listens on a port that a local server needs.",
    fix: "Stop that program (`ss -ltnp` names it), or give the server another port.",
  },
  LOCAL_SERVER_FAILED: {
    meaning: "A private RabbitMQ or Postgres could not be started on this machine.",
    fix: "The message carries the end of the server's own log: a full disk, a missing right or damaged data is named there.",
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
  MAIL_DEFERRED: {
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
  WEBHOOK_SOURCE_UNKNOWN: {
    meaning: "No webhook source of that name is configured.",
    fix: "Compare the URL at the provider with the names in WARREN_SOURCES and WARREN_SOURCE_<NAME>.",
  },
  WEBHOOK_NOT_AUTHENTIC: {
    meaning: "The request does not prove that it comes from the source's provider.",
    fix: "Compare the source's secrets (or address ranges) with the provider's page; the stored request keeps the exact cause.",
  },
  WEBHOOK_BODY_TOO_LARGE: {
    meaning: "More bytes arrived than the source takes.",
    fix: "Raise the source's maxBodyBytes, or have the provider send less.",
  },
  WEBHOOK_BODY_INCOMPLETE: {
    meaning: "The connection ended, or stalled too long, before the whole body had arrived.",
    fix: "Send the request again; if it goes on, look at the proxies in between.",
  },
  WEBHOOK_BODY_MALFORMED: {
    meaning: "The request is authentic, but its body is not what the provider documents.",
    fix: "Check that the source's provider is the one that sends; the stored request keeps the exact bytes.",
  },
  WEBHOOK_ENCODING_UNSUPPORTED: {
    meaning:
      "The body is compressed. Warren verifies and keeps the bytes as they were signed, so it takes none but identity.",
    fix: "Send the body without Content-Encoding.",
  },
  WEBHOOK_CONTENT_TYPE_UNSUPPORTED: {
    meaning: "The source does not take this content type.",
    fix: "Add the type to the source's contentTypes, or set the provider to JSON.",
  },
  WEBHOOK_SECRETS_NOT_CURRENT: {
    meaning: "None of the source's secrets is within its notBefore and notAfter.",
    fix: "Give the source a current secret; senders that retry are then served.",
  },
  WEBHOOK_STORE_UNAVAILABLE: {
    meaning: "The request could not be stored just now, so it was not accepted.",
    fix: "Nothing to do for the sender but to retry; look at the database's health.",
  },
  WEBHOOK_OVERLOADED: {
    meaning: "More requests are in flight than this process takes.",
    fix: "Retry after the given seconds; run another ingress, or raise WARREN_MAX_IN_FLIGHT.",
  },
  HTTP_NOT_FOUND: {
    meaning: "There is nothing at this path for this method.",
    fix: "Webhooks are taken at POST /webhooks/<source>.",
  },
  HTTP_BAD_REQUEST: {
    meaning: "The request is not valid HTTP for this path.",
    fix: "The detail names the part that is wrong.",
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
