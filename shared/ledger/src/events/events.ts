import type { OnBatch } from "../postgres/batcher.ts";
import type { Database } from "../postgres/database.ts";
import type { retrying } from "../postgres/retrying.ts";
import type { TableName } from "../postgres/sql.ts";
import { createEventInbox, type EventInbox } from "./inbox.ts";
import { createDeadEvents, type DeadEvents } from "./letters.ts";
import { createOutbox, type Outbox } from "./outbox.ts";

/** What the ledger knows of events: those not yet sent, those handled, those that died. */
export interface EventLedger {
  readonly outbox: Outbox;
  readonly inbox: EventInbox;
  readonly dead: DeadEvents;
}

/** Calls that do no harm twice are repeated after a lost connection; the others only after a conflict, which kept nothing. */
export function createEventLedger(
  database: Database,
  table: TableName,
  { repeatable, undone }: ReturnType<typeof retrying>,
  onBatch: OnBatch | undefined,
): EventLedger {
  const outbox = createOutbox(database, table);
  const inbox = createEventInbox(database, table, onBatch);
  const dead = createDeadEvents(database, table);
  return {
    outbox: {
      addIn: (run, events) => outbox.addIn(run, events),
      // a second copy would carry the same event id
      add: (events) => repeatable(() => outbox.add(events)),
      takeFree: (take) => undone(() => outbox.takeFree(take)),
      takeOrdered: (take) => undone(() => outbox.takeOrdered(take)),
      sent: (positions) => repeatable(() => outbox.sent(positions)),
      giveBack: (positions) => repeatable(() => outbox.giveBack(positions)),
      oldestMs: () => repeatable(() => outbox.oldestMs()),
    },
    inbox: {
      isHandled: (entry) => repeatable(() => inbox.isHandled(entry)),
      record: (entry) => repeatable(() => inbox.record(entry)),
      recordIn: (run, entry) => inbox.recordIn(run, entry),
      sweep: (policy) => repeatable(() => inbox.sweep(policy)),
    },
    dead: {
      freeze: (at) => repeatable(() => dead.freeze(at)),
      list: (filter, page) => repeatable(() => dead.list(filter, page)),
      count: (filter) => repeatable(() => dead.count(filter)),
      take: (filter, take) => undone(() => dead.take(filter, take)),
      replayed: (id) => undone(() => dead.replayed(id)),
      giveBack: (ids) => repeatable(() => dead.giveBack(ids)),
    },
  };
}
