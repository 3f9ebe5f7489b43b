import { setTimeout as sleep } from "node:timers/promises";
import { serveRole } from "../role.ts";

/** What every job carries. The filler makes the size. */
export interface Payload {
  readonly number: number;
  readonly sentAtNs: string;
  readonly filler: string;
}

/** Takes note of a run; of one in another process, with the time it ran. */
export type Handle = (payload: Payload, ranAtNs?: bigint) => void;

/** A system under test, in a process of its own: one such process adds, another one works. */
export interface Peer {
  /** Resolves when the system has accepted it as durably as it can promise. */
  addOne(payload: Payload): Promise<void>;
  addMany(payloads: readonly Payload[]): Promise<void>;
  /** Resolves when everything added can be picked up by a worker. */
  added?(): Promise<void>;
  /** Handles jobs, at most so many at once, until the answer is called. */
  work(concurrency: number, handle: Handle): Promise<() => Promise<void>>;
  /** Whether nothing waits and nothing runs: every job handled is durably done. */
  isDrained(): Promise<boolean>;
}

function nowNs(): bigint {
  return process.hrtime.bigint();
}

function payloadOf(number: number, bytes: number): Payload {
  return { number, sentAtNs: String(nowNs()), filler: "x".repeat(Math.max(0, bytes - 60)) };
}

/** The commands of the bench, the same for every system. */
export function servePeer(open: () => Promise<Peer>): void {
  const opened = open();
  const receipts = createReceipts();
  let stop: (() => Promise<void>) | undefined;

  async function add(command: Readonly<Record<string, unknown>>): Promise<object> {
    const peer = await opened;
    const [count, bytes, lanes, size] = ["count", "bytes", "lanes", "size"].map((name) => Number(command[name]));
    let next = Number(command["from"]);
    const end = next + (count ?? 0);
    const startedAt = nowNs();
    const lane = async (): Promise<void> => {
      while (next < end) {
        if (size === 1) {
          await peer.addOne(payloadOf(next++, bytes ?? 0));
          continue;
        }
        const from = next;
        next = Math.min(end, next + (size ?? 0));
        await peer.addMany(Array.from({ length: next - from }, (_, index) => payloadOf(from + index, bytes ?? 0)));
      }
    };
    await Promise.all(Array.from({ length: lanes ?? 1 }, lane));
    return { seconds: Number(nowNs() - startedAt) / 1e9 };
  }

  /** Open loop: jobs leave on schedule, however long the earlier ones take. */
  async function pace(command: Readonly<Record<string, unknown>>): Promise<object> {
    const peer = await opened;
    const [from, count, perSecond, bytes] = ["from", "count", "perSecond", "bytes"].map((name) =>
      Number(command[name]),
    );
    const startedAt = nowNs();
    const calls: Promise<void>[] = [];
    for (let sent = 0; sent < (count ?? 0); sent++) {
      const aheadMs = (sent * 1000) / (perSecond ?? 1) - Number(nowNs() - startedAt) / 1e6;
      if (aheadMs > 0.5) await sleep(aheadMs);
      calls.push(peer.addOne(payloadOf((from ?? 0) + sent, bytes ?? 0)));
    }
    await Promise.all(calls);
    return { seconds: Number(nowNs() - startedAt) / 1e9 };
  }

  serveRole(async (command) => {
    const peer = await opened;
    switch (command.do) {
      case "open":
        return {};
      case "add":
        return add(command);
      case "added":
        await peer.added?.();
        return {};
      case "pace":
        return pace(command);
      case "work":
        receipts.reset();
        stop = await peer.work(Number(command["concurrency"]), (payload, ranAtNs) => receipts.take(payload, ranAtNs));
        return {};
      case "expect":
        return receipts.wait(Number(command["count"]), () => peer.isDrained());
      case "stop":
        await stop?.();
        return {};
      default:
        throw new Error(`unknown command ${command.do}`);
    }
  });
}

/** What a worker saw: which numbers, how often, how long after they were sent. */
function createReceipts() {
  let seen = new Set<number>();
  let runs = 0;
  let firstAt: bigint | undefined;
  let startMs: number[] = [];
  let expected = Number.POSITIVE_INFINITY;
  let allSeen: (() => void) | undefined;

  function reset(): void {
    seen = new Set();
    runs = 0;
    firstAt = undefined;
    startMs = [];
    expected = Number.POSITIVE_INFINITY;
  }

  return {
    reset,
    take(payload: Payload, ranAtNs?: bigint): void {
      const now = ranAtNs ?? nowNs();
      firstAt ??= now;
      runs += 1;
      seen.add(payload.number);
      startMs.push(Number(now - BigInt(payload.sentAtNs)) / 1e6);
      if (seen.size >= expected) allSeen?.();
    },
    /** From the first handler's start to the moment when the last job is durably done. Forgets what it saw. */
    async wait(count: number, isDrained: () => Promise<boolean>): Promise<object> {
      expected = count;
      if (seen.size < count) {
        await new Promise<void>((resolve) => {
          allSeen = resolve;
        });
      }
      while (!(await isDrained())) await sleep(2);
      const seconds = Number(nowNs() - (firstAt ?? nowNs())) / 1e9;
      const receipt = { seconds, unique: seen.size, duplicates: runs - seen.size, startMs };
      reset();
      return receipt;
    },
  };
}
