import type { ClaimedJob, Ledger, Settlement } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Settler } from "../attempts/settle.ts";
import type { Inbox, Waiting } from "./inbox.ts";

/**
 * Claims whose handlers began before the claim was on disk. Each keeps its message from being acked, until one of three proves the claim: the
 * settlement of its job, the next look (a job that runs longer than that), or the answer that it is not ours. Should Postgres crash
 * and forget one, the next look or the settlement claims the job again, under the same attempt.
 */
export interface EarlyClaims extends Disposable {
  /**
   * A job was claimed; from now on its message, if it has to, waits for it. Answers whether it is to be run: not if it runs here already,
   * since Postgres forgot its claim and another message has brought it again.
   */
  begin(job: ClaimedJob, workerId: string, message: Waiting | undefined): boolean;
  /** Settles like the settler; a job whose claim was forgotten is claimed again, and then settled. */
  readonly settle: Settler["settle"];
  /** Looks at all of them now. Never rejects. */
  look(): Promise<void>;
}

export interface EarlyClaimsOptions {
  readonly ledger: Pick<Ledger, "confirmClaims">;
  readonly settler: Settler;
  readonly inbox: Pick<Inbox, "proved" | "again">;
  /** A message waits in the inbox again. */
  readonly arrived: () => void;
  readonly log: Logger;
}

interface Claim {
  readonly job: ClaimedJob;
  readonly workerId: string;
  readonly message: Waiting;
  /** Its settlement is under way, and will tell. */
  settling: boolean;
  /** It was there at the last look already. */
  old: boolean;
  /** What is known of it. */
  fate: "unproved" | "ours" | "gone";
}

/** A message waits between one and two of these for a job that runs long. Postgres itself writes within 600 ms. */
const lookEveryMs = 125;

export function createEarlyClaims({ ledger, settler, inbox, arrived, log }: EarlyClaimsOptions): EarlyClaims {
  const claims = new Map<string, Claim>();
  let timer: NodeJS.Timeout | undefined;
  let looking = Promise.resolve();
  let next: Promise<void> | undefined;
  const ending = new AbortController();

  function close(claim: Claim, fate: "ours" | "gone"): void {
    if (claim.fate !== "unproved") return;
    claim.fate = fate;
    claims.delete(keyOf(claim.job, claim.workerId));
    inbox.proved(claim.message);
  }

  function tick(): void {
    timer = undefined;
    const isDue = [...claims.values()].some(({ old, settling }) => old && !settling);
    for (const claim of claims.values()) claim.old = true;
    if (isDue) void look();
    schedule();
  }

  function schedule(): void {
    if (claims.size > 0 && !ending.signal.aborted) timer ??= setTimeout(tick, lookEveryMs);
  }

  /** One look at a time; who asks during one gets one that began after the question, together with others that ask. */
  function look(): Promise<void> {
    next ??= looking.then(() => {
      next = undefined;
      looking = lookOnce();
      return looking;
    });
    return next;
  }

  async function lookOnce(): Promise<void> {
    const open = [...claims.values()].filter(({ settling }) => !settling);
    for (const [workerId, own] of Map.groupBy(open, (claim) => claim.workerId)) {
      try {
        await confirm(workerId, own);
      } catch (error) {
        log.debug({ err: error }, "early claims not confirmed yet");
      }
    }
  }

  async function confirm(workerId: string, own: readonly Claim[]): Promise<void> {
    const confirmed = await ledger.confirmClaims(
      workerId,
      own.map(({ job }) => job),
    );
    for (const claim of own) {
      if (claim.fate !== "unproved") continue;
      if (!confirmed.alive) askAgain(claim);
      else if (confirmed.kept.has(claim.job)) close(claim, "ours");
      else if (!claim.settling) close(claim, "gone");
    }
  }

  /** The lease is over, so nobody can tell whether the claim was forgotten or taken away. */
  function askAgain(claim: Claim): void {
    claim.fate = "gone";
    claims.delete(keyOf(claim.job, claim.workerId));
    inbox.again(claim.message, claim.job.id);
    arrived();
  }

  /** Its settlement was refused: by a fence, or because the claim was forgotten. Resolves when that is known, or at the end. */
  async function proved(claim: Claim): Promise<Claim["fate"]> {
    claim.settling = false;
    for (;;) {
      await look();
      if (claim.fate !== "unproved" || ending.signal.aborted) break;
      await pause();
    }
    return claim.fate;
  }

  async function settle(settlement: Settlement): ReturnType<Settler["settle"]> {
    const claim = claims.get(keyOf(settlement, settlement.workerId));
    if (claim === undefined) return settler.settle(settlement);
    claim.settling = true;
    const settled = await settler.settle(settlement);
    if (settled === "abandoned") return settled;
    if (settled !== "fenced") {
      close(claim, "ours");
      return settled;
    }
    const fate = await proved(claim);
    if (fate !== "ours") return fate === "gone" ? settled : "abandoned";
    log.warn({ jobId: claim.job.id, attempt: claim.job.attempt }, "Postgres had forgotten a claim; claimed again");
    return settler.settle(settlement);
  }

  return {
    begin(job, workerId, message) {
      const key = keyOf(job, workerId);
      const runs = claims.has(key);
      if (message === undefined) return !runs;
      if (runs) {
        inbox.proved(message);
        return false;
      }
      claims.set(key, { job, workerId, message, settling: false, old: false, fate: "unproved" });
      schedule();
      return true;
    },
    settle,
    look,
    [Symbol.dispose]() {
      ending.abort();
      clearTimeout(timer);
    },
  };
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, lookEveryMs));

const keyOf = ({ id, attempt }: { readonly id: string; readonly attempt: number }, workerId: string): string =>
  `${id.toLowerCase()}:${attempt}:${workerId}`;
