import type { Ledger } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { z } from "zod";
import { type Client, defineJob, defineSchedule, handle, registerSchedules } from "../../src/index.ts";

/** The example of infra/docs/schedules.md; `schedules.example.integration.test.ts` runs it and holds the page to it. */
export async function example({ ledger, client, log }: Parts) {
  // begin
  const report = defineJob({ name: "reports.daily", payload: z.object({ kind: z.string() }) });

  // in code: registered when the service starts, in every replica
  const nightly = defineSchedule({
    name: "reports.nightly",
    job: report,
    payload: { kind: "sales" },
    when: "30 2 * * MON-FRI",
    timeZone: "Europe/Berlin",
    misfire: "once",
    overlap: "skip",
  });
  const { orphans } = await registerSchedules({ ledger, service: "reports", schedules: [nightly], log });

  // at run time
  await client.schedules.upsert({
    name: "reports.pulse",
    job: report,
    payload: { kind: "pulse" },
    when: "every second",
  });
  await client.schedules.pause("reports.nightly", { by: "anna" });
  const next = await client.schedules.preview("reports.nightly", 3);
  const { id } = await client.schedules.trigger("reports.nightly");

  // the handler knows which occurrence it runs
  const write = handle(report, async ({ payload, schedule, scheduledFor, log: jobLog }) => {
    jobLog.info({ kind: payload.kind, schedule, scheduledFor }, "report written");
    return { kind: payload.kind, for: scheduledFor?.toISOString() };
  });
  // end
  return { orphans, next, id, write };
}

interface Parts {
  readonly ledger: Ledger;
  readonly client: Client;
  readonly log: Logger;
}
