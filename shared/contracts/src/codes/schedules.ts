import type { CodeEntries } from "./entry.ts";

/** Codes of schedules, and of jobs that wait for their time. */
export const schedulesCodes = {
  SCHEDULE_WHEN_INVALID: {
    meaning: "The `when` of a schedule cannot be read.",
    fix: "The message names the part and what was expected: a cron of 5 or 6 fields, `every 10 minutes`, `at 03:00` or `@daily`.",
  },
  SCHEDULE_NEVER_FIRES: {
    meaning: "The schedule has no time to fire: its cron matches no date, or none between its start and its end.",
    fix: "Correct the day and month of the cron (there is no 30 February), or the start and the end.",
  },
  SCHEDULE_ZONE_UNKNOWN: {
    meaning: "The time zone of a schedule is not in this machine's time zone database.",
    fix: "Use an IANA name such as `Europe/Berlin`; a very new zone needs a newer Node.js.",
  },
  SCHEDULE_TOO_FREQUENT: {
    meaning: "The schedule would fire more often than once a second.",
    fix: "Choose an interval of at least 1 second, or let a job enqueue the next one.",
  },
  SCHEDULE_RANGE_INVALID: {
    meaning: "The end of a schedule is not after its start.",
    fix: "Exchange the two, or leave one out.",
  },
  SCHEDULE_UNKNOWN: {
    meaning: "There is no schedule of this name.",
    fix: "List them with `npm run warren -- schedule list`; names are case-sensitive.",
  },
  SCHEDULE_TAKEN: {
    meaning: "A schedule of this name is defined in the code of another service.",
    fix: "Choose another name, such as one that begins with the service's; or delete the other one, if it is an orphan.",
  },
  JOB_NOT_WAITING: {
    meaning: "The job does not wait for its time: it is ready, running, finished or unknown. Nothing was changed.",
    fix: "Look at its state; only a job that is `scheduled` or `retrying` can be run now, put off or called off.",
  },
} as const satisfies CodeEntries;
