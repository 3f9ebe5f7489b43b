import type { CodeEntries } from "./entry.ts";

/** Codes of the ledger. */
export const ledgerCodes = {
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
} as const satisfies CodeEntries;
