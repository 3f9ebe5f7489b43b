import type { Conversation } from "./conversation.ts";
import { correlationIdOf } from "./inputs.ts";

/** Something that must not be, and by what one sees it. */
export interface Finding {
  readonly rule: string;
  readonly what: string;
}

/** A request as the ledger has it. */
export interface KeptRequest {
  readonly correlationId: string;
  readonly status: string;
  readonly source: string;
  readonly dedupeKey: string | null;
}

export interface Audited {
  readonly seed: number;
  readonly conversations: readonly Conversation[];
  readonly kept: readonly KeptRequest[];
}

/** Answers that only an ingress with more than its budget at hand may give; each is judged where the load is known. */
export const overloaded = "WEBHOOK_OVERLOADED";

/** Longer than any input takes by itself, and shorter than the ingress waits for headers. */
const slowMs = 10_000;

function name({ input }: Conversation): string {
  return `input ${input.number} (${input.kind} to ${input.source})`;
}

/** What the answers and the ledger say of each other. Pure. */
export function audit({ seed, conversations, kept }: Audited): readonly Finding[] {
  const findings: Finding[] = [];
  const events = kept.filter(({ status }) => status === "accepted" || status === "duplicate");
  const byCorrelation = Map.groupBy(events, ({ correlationId }) => correlationId);
  for (const conversation of conversations) {
    const { input, answers, refused } = conversation;
    const add = (rule: string, what: string): void => {
      findings.push({ rule, what: `${name(conversation)}: ${what}` });
    };
    if (refused) add("always listening", "the connection was refused");
    for (const { status, code } of answers) {
      if (status >= 500 && code !== overloaded) add("no failure of ours", `${status} ${code ?? ""}`);
    }
    const own = byCorrelation.get(correlationIdOf(seed, input.number)) ?? [];
    if (input.mustBeTaken && input.ending !== "reset") {
      const taken = answers.filter(({ status }) => status < 300).length;
      // on a machine that stands still we are the slow sender
      const late = conversation.lastedMs > slowMs && answers.some(({ status }) => status === 408);
      const busy = late || answers.some(({ code }) => code === overloaded);
      if (taken !== 1 && !busy)
        add("what is authentic is taken", `answered ${answers.map(({ status }) => status).join(", ")}`);
      if (own.length !== taken) add("taken is kept once", `${taken} taken, ${own.length} kept`);
    }
    const receipts = answers.filter(({ receipt, correlationId }) => {
      return receipt === "accepted" && correlationId === correlationIdOf(seed, input.number);
    });
    const accepted = own.filter(({ status }) => status === "accepted");
    if (receipts.length > accepted.length) {
      add("accepted is kept", `${receipts.length} accepted, ${accepted.length} kept`);
    }
    if (own.length > 0 && answers.length > 0 && answers.every(({ status }) => status >= 400)) {
      add("what is kept is not refused", `kept, and answered ${answers.map(({ status }) => status).join(", ")}`);
    }
  }
  const once = Map.groupBy(
    events.filter(({ status }) => status === "accepted"),
    ({ source, dedupeKey }) => `${source} ${dedupeKey ?? ""}`,
  );
  for (const [event, rows] of once) {
    if (rows.length > 1) findings.push({ rule: "once an event", what: `${event}: ${rows.length} times accepted` });
  }
  return findings;
}

/** Lines of a log in which any of these texts stands. */
export function leaksIn(lines: readonly string[], secrets: readonly string[]): readonly Finding[] {
  return lines.flatMap((line) => {
    const shown = secrets.find((secret) => line.includes(secret));
    return shown === undefined ? [] : [{ rule: "no secret in a log", what: line.slice(0, 300) }];
  });
}

export interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
}

const mebibyte = 1_048_576;
/** After garbage is gone. What the heap holds tells a leak; the resident set also moves with the allocator. */
const mayGrow = { heapUsed: 24 * mebibyte, external: 24 * mebibyte, rss: 128 * mebibyte };

/** Compares the smallest of the first samples after warming up with the smallest of the last ones. */
export function growth(samples: readonly Memory[]): { readonly mib: Memory; readonly findings: readonly Finding[] } {
  const share = Math.max(1, Math.floor(samples.length / 4));
  const least = (some: readonly Memory[], part: keyof Memory): number =>
    Math.min(...some.map((memory) => memory[part]));
  const grown = (part: keyof Memory): number =>
    samples.length < 2 ? 0 : least(samples.slice(-share), part) - least(samples.slice(0, share), part);
  const parts = ["heapUsed", "external", "rss"] as const;
  const findings = parts.flatMap((part) =>
    grown(part) > mayGrow[part]
      ? [{ rule: "no leak", what: `${part} grew by ${Math.round(grown(part) / mebibyte)} MiB` }]
      : [],
  );
  const inMib = (part: keyof Memory): number => Math.round((grown(part) / mebibyte) * 10) / 10;
  return { mib: { rss: inMib("rss"), heapUsed: inMib("heapUsed"), external: inMib("external") }, findings };
}
