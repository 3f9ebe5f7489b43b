import type { CodeEntries } from "./entry.ts";

/** Codes of sources of webhooks at run time. */
export const sourcesCodes = {
  SOURCE_NAME_TAKEN: {
    meaning: "There is a source of this name already, made at run time or by the configuration.",
    fix: "Choose another name, or change the source that has it.",
  },
  SOURCE_FROM_CONFIGURATION: {
    meaning:
      "The source comes from the configuration (WARREN_SOURCES, WARREN_SOURCE_<NAME>), which the API does not change.",
    fix: "Change it there; files are read again without a restart. Or take it out there and create it over the API.",
  },
  SOURCE_SECRET_REQUIRED: {
    meaning: "The source needs a secret, and this provider makes it itself.",
    fix: "Copy the secret from the provider's page and give it with the call.",
  },
  SOURCE_SECRET_UNKNOWN: {
    meaning: "The source has no secret of this id.",
    fix: "List the source: it shows the ids of its secrets.",
  },
  SOURCE_SECRET_LAST: {
    meaning: "This is the source's last secret; without any it could not take a single webhook.",
    fix: "Rotate to a new secret first, or disable or delete the source.",
  },
  SOURCE_SECRETS_FULL: {
    meaning: "The source has as many secrets as it may have: each costs every forged request a signature.",
    fix: "Revoke those that are no longer needed.",
  },
  SOURCE_TEST_UNSUPPORTED: {
    meaning: "A test event for this source cannot be made here: only its sender holds what proves it.",
    fix: "Use the provider's own test button or CLI.",
  },
  WEBHOOK_SOURCE_DISABLED: {
    meaning: "The source is disabled, so its webhooks are refused.",
    fix: "Enable it over the management API; what it refused meanwhile is kept, and can be accepted late.",
  },
  WEBHOOK_SOURCE_UNAVAILABLE: {
    meaning: "It cannot be told now whether there is such a source, or it is there and cannot be opened.",
    fix: "Look at the database's health and at the source's `problem` in the management API; senders that retry are then served.",
  },
  WEBHOOK_RATE_LIMITED: {
    meaning: "More events came than the source's rate limit takes.",
    fix: "Retry after the given seconds; or raise the source's rateLimit.",
  },
} as const satisfies CodeEntries;
