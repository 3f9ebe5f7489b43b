import type { CodeEntries } from "./entry.ts";

/** Codes of the broker session and its topology. */
export const brokerCodes = {
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
} as const satisfies CodeEntries;
