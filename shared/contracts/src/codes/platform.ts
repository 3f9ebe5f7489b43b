import type { CodeEntries } from "./entry.ts";

/** Codes of settings, services and local servers. */
export const platformCodes = {
  CONFIG_INVALID: {
    meaning: "A setting from the environment is missing or malformed.",
    fix: "The message names the variable and the expected form; set it and start again.",
  },
  SERVICE_PORT_TAKEN: {
    meaning: "Another program already listens on the service's port.",
    fix: "Set PORT to a free one, or stop the other program; the message names the port.",
  },
  SERVICE_START_FAILED: {
    meaning: "A service could not start: its own start failed, for a reason that waiting will not cure.",
    fix: "The cause in the log says what is missing.",
  },
  WARREN_CLOSED: {
    meaning: "A client, a worker, a subscriber, or the ledger beneath them was used after it was closed.",
    fix: "Use it inside the block of its `await using`, and await what runs there before the block ends; for more work open a new one. A job that met it is tried again.",
  },
  INTERNAL: {
    meaning: "An unexpected failure inside Warren.",
    fix: "Read the cause in the log under the same correlation id and report it.",
  },
  TEST_NOT_FAKED: {
    meaning: "A test asked the client without a database for something that only a database can answer.",
    fix: "Use `openTestWarren()` in this test; the message says what was asked.",
  },
  TEST_DRAIN_ENDLESS: {
    meaning: "A test's drain ran as many attempts as it may, and jobs still wait.",
    fix: "Look for jobs that enqueue themselves or snooze without end, or raise `limit`; the message names them.",
  },
  TEST_DRAIN_STUCK: {
    meaning: "A test's drain waited until its time was over, and jobs are still unfinished.",
    fix: "The message names them and their states: give the world a worker that handles them, or look for a handler that never ends.",
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
} as const satisfies CodeEntries;
