import type { Ledger, Registered } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { z } from "zod";
import { prepare } from "../enqueue/draft.ts";
import { JobOptionError } from "../errors.ts";
import { parseOptions } from "../options.ts";
import { newScheduleOf, type Prepare, type ScheduleDefinition, scheduleName } from "./define.ts";

export interface RegisterSchedulesOptions {
  readonly ledger: Pick<Ledger, "schedules">;
  /** Whose code this is: what it no longer defines is an orphan of this service. */
  readonly service: string;
  /** All schedules of this service. An empty list makes orphans of whatever it defined before. */
  readonly schedules: readonly ScheduleDefinition[];
  /** Tells of orphans. */
  readonly log?: Pick<Logger, "warn">;
  /** `client.prepare`: needed where a definition encrypts or offloads, else `JOB_SEALING_REQUIRED`. */
  readonly prepare?: Prepare;
}

const given = z.custom<unknown>((value) => value !== undefined, "is missing");
const registerOptions = z.strictObject({
  ledger: given,
  service: scheduleName,
  schedules: z.array(z.unknown()),
  log: z.unknown().optional(),
  prepare: z.unknown().optional(),
});

/**
 * Registers the schedules that a service's code defines; call it at the service's start, in every replica. All or nothing, and code wins:
 * what was changed at run time is as the code says again, but for a pause, which stays. A schedule of this service that is no longer in
 * the code is not deleted: it goes on firing, is answered and logged as an orphan, and shown as one until somebody deletes it.
 * @throws JobOptionError when two have the same name; ScheduleError `SCHEDULE_TAKEN`, `SCHEDULE_RANGE_INVALID`, `SCHEDULE_NEVER_FIRES`.
 */
export async function registerSchedules(options: RegisterSchedulesOptions): Promise<Registered> {
  parseOptions("registerSchedules", registerOptions, options);
  const { ledger, service, schedules, log } = options;
  const names = new Set<string>();
  for (const { name } of schedules) {
    if (names.has(name)) {
      throw new JobOptionError("JOB_OPTION_INVALID", `registerSchedules: two schedules are called "${name}"`, {
        details: { path: "schedules", name },
      });
    }
    names.add(name);
  }
  const prepareJob: Prepare = options.prepare ?? preparePlain;
  const rows = await Promise.all(schedules.map((schedule) => newScheduleOf(schedule, prepareJob)));
  const registered = await ledger.schedules.register({ service, schedules: rows });
  if (registered.orphans.length > 0) {
    const orphans = registered.orphans.map(({ name }) => name);
    log?.warn(
      { service, orphans },
      "schedules that the code does not define any more go on firing; delete or pause them",
    );
  }
  return registered;
}

const preparePlain: Prepare = (definition, payload, options) => {
  const { schedule: _, ...own } = options;
  return prepare(definition, payload, own);
};
