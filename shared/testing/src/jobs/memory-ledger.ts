import type { ClientOptions } from "@warren/jobs";
import type { RunnerOptions } from "@warren/jobs/runner";
import {
  type EventLedger,
  type Ledger,
  LedgerConflictError,
  type NewLine,
  type NewOutboxEvent,
  newId,
  type ProgressReport,
  type RunSql,
} from "@warren/ledger";
import { notFaked, TestingError } from "./errors.ts";
import { JobStore } from "./job-store.ts";

/** The parts of a ledger that client, runner and subscriber use. */
type FakedLedger = ClientOptions["ledger"] & RunnerOptions["ledger"];

/** A ledger in memory. Nothing of it outlives the test. */
export interface MemoryLedger {
  readonly ledger: FakedLedger;
  readonly store: JobStore;
}

/** An open transaction: reads and writes a copy, and what it wrote is done again on the original when it commits. */
interface Transaction {
  readonly copy: JobStore;
  readonly writes: ((store: JobStore) => unknown)[];
  isOver: boolean;
}

/** What only a dispatcher asks. */
const asked = notFaked("events.") as EventLedger["outbox"] & EventLedger["inbox"];
const ofDispatchers = {
  takeFree: (take) => asked.takeFree(take),
  takeOrdered: (take) => asked.takeOrdered(take),
  sent: (positions) => asked.sent(positions),
  giveBack: (positions) => asked.giveBack(positions),
  oldestMs: () => asked.oldestMs(),
} satisfies Partial<EventLedger["outbox"]>;

const entryName = (entry: { readonly subscription: string; readonly eventId: string }): string =>
  JSON.stringify([entry.subscription, entry.eventId]);

const refuseSql: RunSql = async () => {
  const what = "a statement of SQL in a transaction of createTestClient";
  throw new TestingError("TEST_NOT_FAKED", `${what}: it has no database; use openTestWarren() for this test`);
};

/** @param now the fake clock, in milliseconds since 1970. */
export function createMemoryLedger(now: () => number): MemoryLedger {
  const store = new JobStore();
  const transactions = new WeakMap<RunSql, Transaction>();

  /**
   * In a transaction of ours nothing is there before its commit. Somebody else's (a real database's, or a stub) tells us neither of its
   * commit nor of its rollback: what is written in it counts at once.
   */
  function write<T>(run: RunSql | undefined, work: (store: JobStore) => T): T {
    const transaction = run === undefined ? undefined : transactions.get(run);
    if (transaction === undefined) return work(store);
    if (transaction.isOver) throw new LedgerConflictError("the transaction is over");
    const answer = work(transaction.copy);
    transaction.writes.push(work);
    return answer;
  }

  async function transaction<T>(work: (run: RunSql) => Promise<T>): Promise<T> {
    const open: Transaction = { copy: store.clone(), writes: [], isOver: false };
    // each transaction has a function of its own, by which its writes are known
    const run: RunSql = refuseSql.bind(undefined);
    transactions.set(run, open);
    try {
      const answer = await work(run);
      // first on another copy: of writes that no longer fit, none is done
      const rehearsal = store.clone();
      for (const one of open.writes) one(rehearsal);
      for (const one of open.writes) one(store);
      return answer;
    } finally {
      open.isOver = true;
    }
  }

  const enqueueIn = async (run: RunSql | undefined, jobs: Parameters<Ledger["enqueue"]>[0]) => {
    const entries = jobs.map((job) => ({ id: job.id ?? newId(), job }));
    return write(run, (target) => target.enqueue(entries, now()));
  };
  const publishIn = async (run: RunSql | undefined, events: readonly NewOutboxEvent[]): Promise<void> => {
    write(run, (target) => target.outbox.push(...events));
  };

  const ledger: FakedLedger = {
    enqueue: (jobs) => enqueueIn(undefined, jobs),
    enqueueIn,
    confirmSent: async () => ({ waiting: 0 }),
    transaction,
    releaseUnique: async (name, key) => store.releaseUnique(name, key),
    settle: async (settlement) => store.settle(settlement, now()),
    settleIn: async (run, settlement) => write(run, (target) => target.settleFenced(settlement, now())),
    reportBreaker: async () => undefined,
    delayed: {
      runNow: async (id) => void store.reschedule(id, {}, now()),
      reschedule: async (id, start) => ({ runAt: store.reschedule(id, start, now()) }),
      cancel: async (id, reason) => store.cancel(id, reason, now()),
      runAllNow: async ({ queue, name }) => ({ jobs: store.runAllNow({ queue, name }, now()) }),
      nextInMs: async () => {
        const next = store.nextDueAt();
        return next === undefined ? undefined : Math.max(0, next - now());
      },
    },
    events: {
      outbox: {
        add: (events) => publishIn(undefined, events),
        addIn: publishIn,
        ...ofDispatchers,
      },
      inbox: {
        isHandled: async (entry) => store.handledEvents.has(entryName(entry)),
        record: async (entry) => void store.handledEvents.add(entryName(entry)),
        recordIn: async (run, entry) =>
          write(run, (target) => {
            const isNew = !target.handledEvents.has(entryName(entry));
            target.handledEvents.add(entryName(entry));
            return isNew;
          }),
        sweep: (policy) => asked.sweep(policy),
      },
      dead: notFaked("events.dead.") as EventLedger["dead"],
    },
    control: {
      progress: {
        save: async (reports: readonly ProgressReport[]) => {
          for (const { id, value } of reports) store.progress.set(id, JSON.stringify(value) ?? "null");
        },
        addLines: async (lines: readonly NewLine[]) => {
          for (const { id, text } of lines) store.notes.set(id, [...(store.notes.get(id) ?? []), text]);
        },
      },
      // results stay as long as the test
      results: { expireIn: async () => undefined },
    } as unknown as Ledger["control"],
    flows: notFaked("flows.") as Ledger["flows"],
    schedules: notFaked("schedules.") as Ledger["schedules"],
  };
  return { ledger, store };
}
