import type { TableName } from "../postgres/sql.ts";

/**
 * The right to release jobs of a queue and to change its policy: an advisory lock of the transaction, since a round that finds nothing to
 * do must not write. Statements after it see all that the holder before has committed.
 */
export function lockTurn(table: TableName): { readonly wait: string; readonly attempt: string } {
  const key = `hashtextextended('${table("queue_turns")}:' || $1::text, 0)`;
  return {
    wait: `select pg_advisory_xact_lock(${key})`,
    attempt: `select pg_try_advisory_xact_lock(${key}) as mine`,
  };
}
