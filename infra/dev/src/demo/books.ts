import type { Plan } from "./plan.ts";
import type { Facts } from "./read-back.ts";
import type { Sent } from "./send.ts";

/** One number that must be what was sent. */
export interface Check {
  readonly what: string;
  readonly expected: number;
  readonly found: number;
}

const mailJob = "notifications.send-template";
const paymentJob = "payments.confirm-yookassa";

/** Holds what the system says against what was sent. Pure: every number that must add up, whether it does or not. */
export function balance(plan: Plan, sent: readonly Sent[], facts: Facts): readonly Check[] {
  const { events, forgeries } = plan;
  const count = (outcome: string): number => events.filter((event) => event.outcome === outcome).length;
  const copies = events.reduce((sum, event) => sum + event.copies, 0);
  const [lies, payments] = [count("refused by the provider"), count("payment and mail")];
  const mails = count("mail") + payments;
  const causes = new Map<string, number>();
  for (const { cause } of forgeries) causes.set(cause, (causes.get(cause) ?? 0) + 1);
  const answered = (from: number, to: number): number =>
    sent.filter(({ genuine, status }) => genuine && status >= from && status < to).length;
  const job = (name: string, state: string): number => facts.jobs[`${name} ${state}`] ?? 0;
  const allJobs = Object.values(facts.jobs).reduce((sum, number) => sum + number, 0);
  const kept = Object.values(facts.rejected).reduce((sum, number) => sum + number, 0);

  return [
    { what: "genuine requests answered 2xx", expected: copies, found: answered(200, 300) },
    {
      what: "forged requests refused",
      expected: forgeries.length,
      found: sent.filter(({ genuine, status }) => !genuine && status >= 400 && status < 500).length,
    },
    { what: "accepted", expected: events.length, found: facts.accepted },
    { what: "duplicates", expected: copies - events.length, found: facts.duplicates },
    // Beyond a number a minute, refused requests are counted but not kept.
    ...(facts.rejectedNotKept === 0
      ? [...causes].map(([cause, expected]) => ({
          what: `rejected: ${cause}`,
          expected,
          found: facts.rejected[cause] ?? 0,
        }))
      : []),
    { what: "rejected", expected: forgeries.length, found: kept + facts.rejectedNotKept },
    { what: `jobs succeeded: ${mailJob}`, expected: mails, found: job(mailJob, "succeeded") },
    { what: `jobs succeeded: ${paymentJob}`, expected: payments, found: job(paymentJob, "succeeded") },
    {
      what: `jobs dead: ${paymentJob} (payments that were never made)`,
      expected: lies,
      found: job(paymentJob, "dead"),
    },
    { what: "jobs", expected: mails + payments + lies, found: allJobs },
    { what: "deliveries accepted by the mail server", expected: mails, found: facts.deliveriesAccepted },
    ...(facts.mails === undefined
      ? []
      : [
          { what: "emails", expected: mails, found: facts.mails.total },
          { what: "emails, unique by Message-ID", expected: mails, found: facts.mails.uniqueMessageIds },
          { what: "events with an email", expected: mails, found: facts.mails.events },
        ]),
  ];
}

/** Those that differ. Pure. */
export function differences(checks: readonly Check[]): readonly Check[] {
  return checks.filter(({ expected, found }) => expected !== found);
}

/** The value below which this share of the sorted values lies (nearest rank); undefined of none. Pure. */
export function percentile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
