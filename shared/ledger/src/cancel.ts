import { cancelIn } from "./control/cancel.ts";
import type { FollowUps } from "./follow-ups.ts";
import type { FinishedState } from "./job.ts";
import type { Database } from "./postgres/database.ts";
import type { TableName } from "./postgres/sql.ts";

export type Cancelled =
  | { readonly kind: "cancelled" }
  /** Only its worker can end it. */
  | { readonly kind: "running"; readonly workerId: string }
  | { readonly kind: "finished"; readonly state: FinishedState }
  | { readonly kind: "missing" };

export interface CancelOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly followUps: FollowUps;
}

/** Cancels one job that is not running; see `cancelIn`. */
export function createCancel({
  database,
  table,
  followUps,
}: CancelOptions): (id: string, reason: string, by?: string) => Promise<Cancelled> {
  return async (id, reason, by) => {
    const { answers, finished } = await database.transaction(async (run) => {
      const cancelling = await cancelIn(run, table, [id], { reason, by: by ?? null, asksRunning: false });
      return { answers: cancelling.answers, finished: await followUps.finished(run, cancelling.ended) };
    });
    await followUps.committed(finished);
    const [answer] = answers;
    if (answer === undefined || answer.kind === "missing") return { kind: "missing" };
    if (answer.kind === "requested") return { kind: "running", workerId: answer.workerId };
    return answer.kind === "finished" ? { kind: "finished", state: answer.state } : { kind: "cancelled" };
  };
}
