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

function said({ answers, closed, lastedMs }: Conversation): string {
  const statuses = answers.map(({ status }) => status).join(", ");
  return `${statuses === "" ? "nothing" : statuses}, ${closed ? "closed" : "left"} after ${Math.round(lastedMs)} ms`;
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
      // on a machine that stands still we are the slow sender; what we say into a connection that ends just then takes the 408 away
      const lost = answers.length === 0 && conversation.closed;
      const late = conversation.lastedMs > slowMs && (lost || answers.some(({ status }) => status === 408));
      const busy = late || answers.some(({ code }) => code === overloaded);
      if (taken !== 1 && !busy) add("what is authentic is taken", `answered ${said(conversation)}`);
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
const roundsAnHour = 360;
/** What is in use once the garbage is gone: the smallest of the last quarter of the samples against the first. */
const mayGrow = { heapUsed: 8 * mebibyte, external: 8 * mebibyte };
/**
 * The resident set keeps the mark of the busiest moment so far: V8 and the allocator hold on to pages. So it grows in steps, ever more
 * seldom, and after a quarter of an hour most rounds add nothing; a leak grows in every round. Judged is the median round of the second
 * half of a run that is long enough, and the whole of any.
 */
const roundsToJudge = 150;
const rssAnHour = 64 * mebibyte;
const mostRss = 512 * mebibyte;

export interface Growth {
  readonly mib: Memory;
  /** What the median round of the second half added to the resident set; says little of a run of less than half an hour. */
  readonly rssKibARound: number;
  readonly findings: readonly Finding[];
}

/** What becomes of memory, from samples a round, each after the garbage was collected. Pure. */
export function growth(samples: readonly Memory[]): Growth {
  const share = Math.max(1, Math.floor(samples.length / 4));
  const least = (some: readonly Memory[], part: keyof Memory): number =>
    Math.min(...some.map((memory) => memory[part]));
  const grown = (part: keyof Memory): number =>
    samples.length < 2 ? 0 : least(samples.slice(-share), part) - least(samples.slice(0, share), part);
  const findings: Finding[] = [];
  const found = (what: string): void => void findings.push({ rule: "no leak", what });
  for (const part of ["heapUsed", "external"] as const) {
    if (grown(part) > mayGrow[part]) found(`${part} grew by ${Math.round(grown(part) / mebibyte)} MiB`);
  }
  const rss = samples.map((memory) => memory.rss);
  const aRound = medianStep(rss.slice(Math.floor(rss.length / 2)));
  if (rss.length >= roundsToJudge && aRound * roundsAnHour > rssAnHour)
    found(`rss grows by ${Math.round(aRound / 1024)} KiB in every round`);
  const highest = Math.max(0, ...rss);
  if (highest > mostRss) found(`rss was ${Math.round(highest / mebibyte)} MiB`);
  const inMib = (part: keyof Memory): number => Math.round((grown(part) / mebibyte) * 10) / 10;
  return {
    mib: { rss: inMib("rss"), heapUsed: inMib("heapUsed"), external: inMib("external") },
    rssKibARound: Math.round(aRound / 1024),
    findings,
  };
}

function medianStep(values: readonly number[]): number {
  const steps = values.slice(1).map((value, index) => value - (values[index] ?? value));
  return steps.toSorted((one, other) => one - other)[Math.floor(steps.length / 2)] ?? 0;
}
