import type { JobState } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import type { EventState } from "./request-filter.ts";

/** A job of an event, as far as it is still known. */
export interface EventJob {
  readonly id: string;
  /** `undefined`: history has forgotten it. */
  readonly known:
    | {
        readonly name: string;
        readonly queue: string;
        readonly state: JobState;
        readonly attempt: number;
        readonly isDiscarded: boolean;
        readonly finishedAt: Date | undefined;
      }
    | undefined;
}

export interface EventStanding {
  readonly state: EventState;
  readonly jobs: readonly EventJob[];
}

/** How the jobs of an event stand, taken together. */
function stateOf(jobs: readonly EventJob[]): EventState {
  if (jobs.length === 0) return "unmatched";
  const states = new Set(jobs.map(({ known }) => known?.state));
  if (states.has("dead")) return "dead";
  const unfinished = ["blocked", "scheduled", "ready", "running", "retrying"] as const;
  if (unfinished.some((state) => states.has(state))) return "unfinished";
  if (states.has("cancelled")) return "cancelled";
  return states.has(undefined) ? "forgotten" : "succeeded";
}

/**
 * The jobs of events, in the order in which they were made: those that came with the request, then those that runs added. Bounded by the
 * ids given. Index: primary keys, webhook_event_runs_of (event_id).
 */
export async function statesOfEvents(
  run: RunSql,
  table: TableName,
  ids: readonly string[],
): Promise<ReadonlyMap<string, EventStanding>> {
  const { rows } = await run(
    `with made as materialized (
       select r.id as event_id, 0 as run, m.id, m.place from ${table("webhook_requests")} r
       cross join lateral unnest(r.job_ids) with ordinality as m(id, place) where r.id = any ($1::uuid[])
       union all
       select e.event_id, 1, m.id, m.place from ${table("webhook_event_runs")} e
       cross join lateral unnest(e.made) with ordinality as m(id, place) where e.event_id = any ($1::uuid[])
     )
     select made.event_id, made.id, j.name, j.queue, j.state, j.attempt, j.is_discarded, j.finished_at
     from made left join lateral (
       select name, queue, state, attempt, false as is_discarded, null::timestamptz as finished_at
       from ${table("jobs")} where id = made.id
       union all
       select name, queue, state, attempt, discarded_at is not null, finished_at from ${table("jobs_history")} where id = made.id
     ) j on true
     order by made.event_id, made.run, made.id`,
    [ids],
  );
  const jobs = new Map<string, Map<string, EventJob>>(ids.map((id) => [id, new Map()]));
  for (const row of rows) {
    const id = String(row["id"]);
    const { name, finished_at: finishedAt } = row;
    jobs.get(String(row["event_id"]))?.set(id, {
      id,
      known:
        typeof name === "string"
          ? {
              name,
              queue: String(row["queue"]),
              state: row["state"] as JobState,
              attempt: Number(row["attempt"]),
              isDiscarded: row["is_discarded"] === true,
              finishedAt: finishedAt instanceof Date ? finishedAt : undefined,
            }
          : undefined,
    });
  }
  return new Map([...jobs].map(([id, of]) => [id, { state: stateOf([...of.values()]), jobs: [...of.values()] }]));
}
