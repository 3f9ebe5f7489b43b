import { isFree } from "../gate.ts";
import type { ClaimedJob } from "../job.ts";
import { plainArray, textArray } from "../postgres/arrays.ts";
import type { Database, Row } from "../postgres/database.ts";
import { byIdOnly, type TableName } from "../postgres/sql.ts";
import { runningSql } from "./claim.ts";

export type UnsureClaim = Pick<ClaimedJob, "id" | "attempt" | "payload">;

/** `alive: false`: the lease is over. Else `kept`: those of the claims that are the worker's for good now. */
export type ConfirmedClaims =
  | { readonly alive: false }
  | { readonly alive: true; readonly kept: ReadonlySet<UnsureClaim> };

export type ConfirmClaims = (workerId: string, claims: readonly UnsureClaim[]) => Promise<ConfirmedClaims>;

export function createConfirmClaims(database: Database, table: TableName): ConfirmClaims {
  // The write is a beat; its commit waits for the disk, and the log has a claim that this statement sees before it. Not finding one is
  // proved the same way: whoever ended it stands in the log before this commit. Index: workers (id), jobs (id). Locks as a beat does.
  const confirm = {
    name: "warren_confirm_claims",
    text: `with kept as (
        select j.id, j.attempt from unnest($2::uuid[], $3::int[]) as c(id, attempt) cross join lateral (
          select id, attempt from ${table("jobs")} j
          where j.id = c.id and ${byIdOnly("j.state")} = 'running' and j.attempt = c.attempt and j.worker_id = $1
        ) j
      )
      update ${table("workers")} set beat_seq = beat_seq + 1, beat_at = clock_timestamp()
      where id = $1 and ended_at is null
      returning (select coalesce(jsonb_agg(id || ':' || attempt), '[]') from kept) as kept`,
  };
  // Claims again what was forgotten, if it is as if nobody had ever claimed it: the attempt before, and the payload that runs. Locks as
  // a claim does: the worker's row, then jobs in id order (the input is sorted). Index: workers (id), jobs (id).
  const again = {
    name: "warren_claim_again",
    text: `with living as (
        select id from ${table("workers")} where id = $1 and ended_at is null for key share
      )
      update ${table("jobs")} j
      ${runningSql}
      from unnest($2::uuid[], $3::int[], $4::text[]) as c(id, attempt, payload)
      where j.id = any (array[c.id]) and ${byIdOnly("j.state")} = 'ready' and j.attempt = c.attempt - 1
        and j.payload = c.payload::jsonb and j.held_by is null and exists (select from living) and ${isFree(table, "j.")}
      returning j.id || ':' || j.attempt as kept`,
  };

  return async (workerId, claims) => {
    const ids = (of: readonly UnsureClaim[]) => [
      workerId,
      plainArray(of.map(({ id }) => id)),
      plainArray(of.map(({ attempt }) => attempt)),
    ];
    const [row] = await database.run(confirm, ids(claims));
    if (row === undefined) return { alive: false };
    const known = new Set(row["kept"] as readonly string[]);
    const missing = claims.filter((claim) => !known.has(keyOf(claim))).sort((a, b) => (a.id < b.id ? -1 : 1));
    if (missing.length > 0) {
      const payloads = textArray(missing.map(({ payload }) => JSON.stringify(payload)));
      const rows: readonly Row[] = await database.run(again, [...ids(missing), payloads]);
      for (const { kept } of rows) known.add(String(kept));
    }
    return { alive: true, kept: new Set(claims.filter((claim) => known.has(keyOf(claim)))) };
  };
}

const keyOf = ({ id, attempt }: UnsureClaim): string => `${id}:${attempt}`;
