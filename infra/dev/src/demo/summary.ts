import { type Check, percentile } from "./books.ts";
import type { Facts } from "./read-back.ts";
import type { Sent } from "./send.ts";

export interface SummaryInput {
  readonly facts: Facts;
  readonly sent: readonly Sent[];
  readonly checks: readonly Check[];
  readonly sendingMs: number;
  readonly drainedMs: number;
}

/** The closing page of the demo. Pure. */
export function summary({ facts, sent, checks, sendingMs, drainedMs }: SummaryInput): string {
  const acks = sent
    .filter(({ genuine, status }) => genuine && status >= 200 && status < 300)
    .map(({ ackMs }) => ackMs)
    .toSorted((a, b) => a - b);
  const mails = facts.mails?.webhookToMailMs ?? [];
  const wrong = checks.filter(({ expected, found }) => expected !== found);
  const rate = Math.round((sent.length * 1000) / Math.max(1, sendingMs));
  const lines = [
    "",
    `Sent ${number(sent.length)} requests in ${seconds(sendingMs)} (${number(rate)}/s); all work done ${seconds(drainedMs)} later.`,
    "",
    "Read back from the system:",
    `  accepted    ${number(facts.accepted).padStart(7)}`,
    `  duplicates  ${number(facts.duplicates).padStart(7)}   known already, done once`,
    ...block("rejected", facts.rejected, facts.rejectedNotKept),
    ...block("jobs", facts.jobs, 0),
    facts.mails === undefined
      ? `  emails      ${number(facts.deliveriesAccepted).padStart(7)}   accepted by your mail server, by the deliveries ledger`
      : `  emails      ${number(facts.mails.uniqueMessageIds).padStart(7)}   unique by Message-ID, of ${number(facts.mails.total)} received`,
    "",
    `  ack              ${latency(acks)}`,
    ...(facts.mails === undefined ? [] : [`  webhook → email  ${latency(mails)}`]),
    "",
    ...(wrong.length === 0
      ? [
          `The books balance: ${checks.length} of ${checks.length} numbers are what was sent. Nothing lost, nothing doubled.`,
        ]
      : wrong.map(
          ({ what, expected, found }) => `DIFFERS: ${what}: expected ${number(expected)}, found ${number(found)}`,
        )),
    "",
  ];
  return lines.join("\n");
}

function block(name: string, counts: Readonly<Record<string, number>>, notKept: number): readonly string[] {
  const entries = Object.entries(counts).toSorted(([a], [b]) => a.localeCompare(b));
  const total = entries.reduce((sum, [, count]) => sum + count, notKept);
  return [
    `  ${name.padEnd(10)}  ${number(total).padStart(7)}`,
    ...entries.map(([key, count]) => `              ${number(count).padStart(7)} ${key}`),
    ...(notKept === 0
      ? []
      : [`              ${number(notKept).padStart(7)} counted, not kept (a bounded number a minute is)`]),
  ];
}

function latency(sorted: readonly number[]): string {
  const [median, tail] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
  return median === undefined || tail === undefined
    ? "nothing measured"
    : `p50 ${milliseconds(median)}   p99 ${milliseconds(tail)}`;
}

function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : number(Math.round(value))} ms`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}
