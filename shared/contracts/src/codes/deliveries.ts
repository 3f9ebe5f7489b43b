import type { CodeEntries } from "./entry.ts";

/** Codes of calls to providers, and of what is delivered through them. */
export const deliveriesCodes = {
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
} as const satisfies CodeEntries;
