import type { CodeEntries } from "./entry.ts";

/** Codes of events: publishers and subscribers. */
export const eventsCodes = {
  EVENT_DATA_INVALID: {
    meaning: "The data of an event does not match the schema of its definition, at the publisher or at a subscriber.",
    fix: "The message names the path to the field; correct the publisher, or the schema together with its version.",
  },
  EVENT_DATA_UNSERIALISABLE: {
    meaning: "The data of an event cannot be written as JSON (a cycle, a BigInt, a function, nothing at all).",
    fix: "Publish plain data: strings, numbers, booleans, null, arrays and objects.",
  },
  EVENT_TOO_LARGE: {
    meaning: "The data of an event is over the publisher's limit (`maxEventBytes`, 1 MiB by default).",
    fix: "Publish a reference to the data instead; every subscriber's queue keeps a copy of the event.",
  },
  EVENT_MALFORMED: {
    meaning:
      "A message in a subscription's queue is no event: its body is not JSON, or it has neither `cloudEvents_id` nor a message id.",
    fix: "Read infra/docs/events.md, wire format, and correct the publisher; the message is kept as a dead letter.",
  },
  EVENT_UNHANDLED: {
    meaning:
      "A subscription got an event of a type or version that its handler does not take; it was offered again up the retry ladder.",
    fix: "Deploy the subscriber that takes it and replay the event, or unbind the old pattern from the subscription's queue.",
  },
  EVENT_FAILED: {
    meaning: "The handler of a subscription threw an error without a code of its own.",
    fix: "Read the error kept with the dead letter, mend the handler, and replay the event.",
  },
  EVENT_ATTEMPTS_EXHAUSTED: {
    meaning: "Every allowed attempt of a subscription to handle the event failed.",
    fix: "Read the error kept with the dead letter, mend the cause, and run `npm run warren -- events replay`.",
  },
  EVENT_TIMEOUT: {
    meaning:
      "The handler of a subscription ran longer than `timeoutMs`; its signal was aborted, and the attempt failed.",
    fix: "Make the work shorter, or let the handler enqueue a job: jobs may run for hours, and events may not.",
  },
  EVENT_HANDLED_BEFORE: {
    meaning:
      "The inbox says that another delivery of this event was handled and committed; this one must have no effect.",
    fix: "Let the error roll your transaction back; the event is then acknowledged as a duplicate.",
  },
  EVENT_COMPLETION_ROLLED_BACK: {
    meaning:
      "The handler completed its event inside a transaction that was then rolled back, and returned without an error.",
    fix: "Let the error that rolled the transaction back reach Warren, and return only after the commit; the event is tried again.",
  },
  EVENT_INBOX_OFF: {
    meaning: "The handler called `event.complete(tx)`, but its subscription has no inbox.",
    fix: "Subscribe with `inbox: true`.",
  },
  SUBSCRIBER_STOPPING: {
    meaning: "The subscriber is shutting down and its time to finish is over; the event is delivered again elsewhere.",
    fix: "Nothing; raise WARREN_SHUTDOWN_TIMEOUT_MS if handlers need longer to finish.",
  },
} as const satisfies CodeEntries;
