import { mayBeOneItem, WorkerEndedError } from "../errors.ts";
import { gateOfReturned, isFree, isPaused, keyOf, onItsWay } from "../gate.ts";
import type { ClaimedJob, ClaimedRareFields } from "../job.ts";
import { type Batcher, createBatcher, type OnBatch } from "../postgres/batcher.ts";
import type { Database, Row } from "../postgres/database.ts";
import { byIdOnly, type Statement, type TableName } from "../postgres/sql.ts";

type Ids = readonly string[];
type Claims = Batcher<Call, readonly ClaimedJob[]>;

/** Which jobs a worker asks for. */
export interface ClaimRequest {
  readonly workerId: string;
  readonly ids: Ids;
  /**
   * The answer need not wait for the disk: jobs may come with `durable: false`. A crash of Postgres in the half second that follows may
   * forget such a claim, so the message that named the job must not be acked before `confirmClaims` or a settlement has proved it.
   * Default `false`.
   */
  readonly early?: boolean;
}

interface Call {
  readonly ids: Ids;
  readonly early: boolean;
}

export interface ClaimOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly onBatch: OnBatch | undefined;
}

export interface Claiming {
  claim(claim: ClaimRequest): Promise<readonly ClaimedJob[]>;
  /** Lets go of what is kept for a worker that has ended. */
  forget(workerId: string): void;
}

/** Claims of concurrent deliveries share a statement: one batcher a worker, since a statement claims for one worker. */
export function createClaim({ database, table, onBatch }: ClaimOptions): Claiming {
  const statements = claimStatements(table);
  const batchers = new Map<string, Claims>();
  /** For how many batches a worker goes straight to the long statement: it serves queues that need it. */
  const skips = new Map<string, number>();

  function batcherOf(workerId: string): Claims {
    const known = batchers.get(workerId);
    if (known !== undefined) return known;
    const batcher: Claims = createBatcher({
      name: "claim",
      weigh: ({ ids }) => ids.length,
      splitOn: mayBeOneItem,
      onBatch,
      run: (calls) => claimBatch(workerId, calls),
    });
    batchers.set(workerId, batcher);
    return batcher;
  }

  async function claimBatch(workerId: string, calls: readonly Call[]): Promise<readonly (readonly ClaimedJob[])[]> {
    const ids = calls.flatMap((call) => call.ids);
    const early = calls.every((call) => call.early);
    const { free, rest } = await claimIds(workerId, ids, early);
    if (free.length + rest.length === 0) {
      const living = await database.run(statements.living, [workerId]);
      if (living.length === 0) throw new WorkerEndedError(workerId);
    }
    const claimed = new Map(free.map((row) => [String(row["id"]), claimedJob(row, !early)]));
    for (const row of rest) claimed.set(String(row["id"]), claimedJob(row, true));
    // Each job goes to one call: two deliveries that name the same job must not both run it.
    return calls.map((call) =>
      call.ids.flatMap((id) => {
        const job = claimed.get(id.toLowerCase());
        return job !== undefined && claimed.delete(job.id) ? [job] : [];
      }),
    );
  }

  async function claimIds(
    workerId: string,
    ids: Ids,
    early: boolean,
  ): Promise<Record<"free" | "rest", readonly Row[]>> {
    const skipped = skips.get(workerId) ?? 0;
    if (skipped > 0) {
      skips.set(workerId, skipped - 1);
      return { free: [], rest: await claimRest(workerId, ids, []) };
    }
    const free = await database.run(statements.claimFree, [workerId, `{${ids.join(",")}}`, early]);
    if (free.length === ids.length) return { free, rest: [] };
    const rest = await claimRest(workerId, ids, free);
    if (free.length === 0 && rest.length > 0) skips.set(workerId, batchesBetweenLooks);
    return { free, rest };
  }

  /** Those that nobody may have, those that a breaker may hold back, and those of queues with a rate or a pause. */
  async function claimRest(workerId: string, ids: Ids, claimed: readonly Row[]): Promise<readonly Row[]> {
    const known = new Set(claimed.map((row) => String(row["id"])));
    const rest = ids.filter((id) => !known.has(id.toLowerCase()));
    return rest.length === 0 ? [] : database.run(statements.claim, [workerId, `{${rest.join(",")}}`]);
  }

  return {
    claim: async ({ workerId, ids, early = false }) =>
      ids.length === 0 ? [] : batcherOf(workerId).add({ ids, early }),
    forget: (workerId) => {
      batchers.delete(workerId);
      skips.delete(workerId);
    },
  };
}

const batchesBetweenLooks = 50;

const nothingRare: ClaimedRareFields = {};

function claimedJob(row: Row, durable: boolean): ClaimedJob {
  const runAt = row["run_at"] as Date;
  const claimedAt = row["claimed_at"] as Date;
  return {
    id: String(row["id"]),
    queue: String(row["queue"]),
    name: String(row["name"]),
    version: Number(row["version"]),
    payload: row["payload"],
    attempt: Number(row["attempt"]),
    excused: Number(row["excused"]),
    maxAttempts: Number(row["max_attempts"]),
    stalls: Number(row["stalls"]),
    correlationId: String(row["correlation_id"]),
    trace: (row["trace"] as string | null) ?? undefined,
    key: (row["job_key"] as string | null) ?? undefined,
    rare: (row["rare"] as ClaimedRareFields | null) ?? nothingRare,
    breakers: row["breakers"] as readonly string[],
    probe: row["probe"] === true,
    runAt,
    createdAt: row["created_at"] as Date,
    claimedAt,
    waitMs: Math.max(0, claimedAt.getTime() - runAt.getTime()),
    durable,
  };
}

/** Null for most jobs, so that a claim of plain jobs carries one null column and not ten. */
const rareFields = `case when j.linked or num_nonnulls(j.limit_key, j.schedule, j.payload_form, j.attributes) > 0 then
    jsonb_strip_nulls(jsonb_build_object(
      'limitKey', j.limit_key, 'linked', nullif(j.linked, false), 'flowId', j.flow_id, 'uniqueKey', j.unique_key,
      'schedule', j.schedule, 'payloadForm', j.payload_form, 'attributes', j.attributes
    ))
  end`;

/** What a claim sets. `$1`: the worker. */
export const runningSql = `set state = 'running', worker_id = $1, attempt = j.attempt + 1, claimed_at = clock_timestamp()`;

interface ClaimStatements {
  readonly claimFree: Statement;
  readonly claim: Statement;
  readonly living: Statement;
}

function claimStatements(table: TableName): ClaimStatements {
  const blocks = `(b.state = 'open' or (b.state = 'half_open' and not j.probe))`;
  const columns = `j.id, j.queue, j.name, j.version, j.payload, j.attempt, j.excused, j.max_attempts, j.stalls, j.correlation_id,
    j.trace, j.job_key, j.breakers, j.probe, j.run_at, j.created_at, j.claimed_at, ${rareFields} as rare`;

  // Claims what no breaker holds back, in one pass. Locks: the worker's row against its end (for key share: beats pass), then the
  // jobs in the order in which the index scan takes the array, which is id order. It waits for a locked job, then compares again.
  // An early claim's commit does not wait for the disk (ADR 7). Claims of the other statement always do: a crash must not
  // forget a start that a rate has to count.
  const claimFree = `with living as (
    select id, case when $3::boolean then set_config('synchronous_commit', 'off', true) end from ${table("workers")} where id = $1 and ended_at is null for key share
  )
  update ${table("jobs")} j
  ${runningSql}
  where j.id = any ($2::uuid[]) and ${byIdOnly("j.state")} = 'ready' and j.held_by is null and exists (select from living)
    and ${isFree(table, "j.")}
    and (j.breakers = '{}' or not exists (select from ${table("breakers")} b where b.name = any (j.breakers) and ${blocks}))
  returning ${columns}`;

  // Locks: the worker's row against its end (for key share: beats pass), then the jobs in id order. It waits for a locked job
  // rather than skipping it: a skipped claim would be a lost message. Ids come by array, so that each finds its row by the
  // primary key whatever the planner believes about the table. A job whose breaker is open is held instead, which counts as
  // an excused claim, so that a late `confirmSent` of its message does not match it any more. So is a job parked that came as a direct
  // one to a queue that is governed now, or whose queue, name or key is paused. Starts under a rate are counted at the last of them:
  // a bucket that loses its tokens late never holds too many.
  const claim = `with living as (
    select id from ${table("workers")} where id = $1 and ended_at is null for key share
  ),
  picked as (
    select j.id, case when j.breakers <> '{}' then (
        select b.name from ${table("breakers")} b
        where b.name = any (j.breakers) and ${blocks}
        order by b.name limit 1
      ) end as blocked_by,
      coalesce(p.governed and (j.gate = 0 or ${isPaused(table, { job: "j", policy: "p" })}), false) as parked,
      case when p.key_rate_limit is not null or p.keyed then ${keyOf("j.")} when p.rate_limit is not null then '' end as counted
    from ${table("jobs")} j left join ${table("queue_policies")} p on p.queue = j.queue
    where j.id = any ($2::uuid[]) and ${byIdOnly("j.state")} = 'ready' and j.held_by is null and ${onItsWay("j.")}
      and exists (select from living)
    order by j.id
    for update of j
  ),
  parked as (
    update ${table("jobs")} j
    set gate = case when j.gate = 0 then 1 else ${gateOfReturned(table, "j.")} end, sent_at = null,
      attempt = attempt + 1, excused = excused + 1
    where j.id = any (array(select id from picked where parked))
  ),
  held as (
    update ${table("jobs")} j
    set held_by = (select p.blocked_by from picked p where p.id = j.id), probe = false, sent_at = null,
      attempt = attempt + 1, excused = excused + 1, gate = ${gateOfReturned(table, "j.")}
    where j.id = any (array(select id from picked where blocked_by is not null and not parked))
  ),
  claimed as (
    update ${table("jobs")} j
    ${runningSql}
    where j.id = any (array(select id from picked where blocked_by is null and not parked))
    returning ${columns}
  ),
  counted as (
    insert into ${table("queue_starts")} (queue, key, starts, at)
    select c.queue, p.counted, count(*), max(c.claimed_at) from claimed c join picked p on p.id = c.id
    where p.counted is not null group by c.queue, p.counted
  )
  select * from claimed`;

  const living = `select 1 from ${table("workers")} where id = $1 and ended_at is null`;
  return {
    claimFree: { name: "warren_claim_free", text: claimFree },
    claim: { name: "warren_claim", text: claim },
    living: { name: "warren_living", text: living },
  };
}
