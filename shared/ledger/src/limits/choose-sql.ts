import { keyOf, waiting } from "../gate.ts";
import type { Statement, TableName } from "../postgres/sql.ts";
import { sendLease } from "../release.ts";

/** What of a policy the choice of jobs has to look at; each combination is a statement of its own. */
export interface Shape {
  /** Keys take turns. Else the queue is one line. */
  readonly turns: boolean;
  readonly strict: boolean;
  /** Jobs or rates are counted for each key. */
  readonly counted: boolean;
  /** Single keys have limits of their own or are paused. */
  readonly keyed: boolean;
  /** Job names are paused. */
  readonly names: boolean;
  /** Somebody else holds a row: step over it. */
  readonly patient: boolean;
}

/** Answers `jobs` (id, name, attempt, in order), how many were set `aside`, and for turns where the search stood. */
export function chooseStatement(table: TableName, shape: Shape): Statement {
  const flags = Object.entries(shape).filter(([, on]) => on);
  const name = ["warren_release", ...flags.map(([flag]) => flag.slice(0, 2))].join("_");
  return { name, text: shape.turns ? turnsSql(table, shape) : lineSql(table, shape) };
}

/** Beyond what may be released, so many are looked at for those to set aside. */
const asideStep = 500;

/**
 * By the places of the rows, which were found a moment ago in the same snapshot: a row that somebody has changed since is somewhere else, and
 * is left for the next round. The statement runs under a short lock timeout; `patient` steps over what others hold for longer.
 */
const released = (table: TableName, patient: boolean): string => `update ${table("jobs")} j
    set gate = 2, sent_at = null, send_after = clock_timestamp() + ${sendLease}
    where j.ctid = any (array(${patient ? unlocked(table, "select ctid from chosen") : "select ctid from chosen"})) and ${waiting("j.")}
    returning j.id, j.name, j.attempt`;

const unlocked = (table: TableName, places: string): string => `select j.ctid from ${table("jobs")} j
      where j.ctid = any (array(${places})) and ${waiting("j.")} for update skip locked`;

/**
 * One line: the highest priority first, in it the longest due. Paused names and keys leave the line when it is their turn, so that they are
 * stepped over once and not each time. `$1` queue, `$2` how many, `$3` paused names. Index: jobs_waiting.
 */
function lineSql(table: TableName, { keyed, names, patient }: Shape): string {
  const paused = [...(names ? ["j.name = any ($3::text[])"] : []), ...(keyed ? [pausedKey(table)] : [])];
  return `with head as materialized (
    select j.id, j.ctid, (-j.priority) as level, j.run_at, ${paused.length === 0 ? "false" : `(${paused.join(" or ")})`} as paused
    from ${table("jobs")} j where j.queue = $1 and ${waiting("j.")}
    order by (-j.priority), j.run_at, j.id limit $2::int${paused.length === 0 ? "" : ` + ${asideStep}`}
  ),
  chosen as materialized (
    select id, ctid, row_number() over (order by level, run_at, id) as place from head where not paused
    order by level, run_at, id limit $2::int
  ),
  released as (${released(table, patient)}),
  ${setAside(table)}
  select ${answer("c.place")}, (select count(*)::int from aside) as aside
  ${names ? "" : "from (select $3::text[]) as unused"}`;
}

const pausedKey = (table: TableName): string =>
  `exists (select from ${table("queue_key_policies")} k where k.queue = $1 and k.key = j.limit_key and k.paused)`;

/** In a strict order a paused job keeps its key waiting; those without a key have no order. */
const setAside = (table: TableName, which = "paused"): string => `aside as (
    update ${table("jobs")} j set gate = 4
    where j.ctid = any (array(${unlocked(table, `select ctid from head where ${which}`)})) returning j.id
  )`;

const answer = (order: string): string => `coalesce((
      select json_agg(json_build_array(r.id, r.name, r.attempt) order by ${order})
      from released r join chosen c on c.id = r.id
    ), '[]') as jobs`;

const unlimited = "2147483647";

/**
 * Turns: inside a priority each key gets one job after the other, beginning behind the key that was served last (`$4`). The search hops
 * from key to key over the index, and asks each for its room: how many jobs it may have released now. It ends when it has found as many
 * keys with room as jobs may go, or after `$3` hops, and then the next round goes on where it stood (`$5` to `$7`); so keys without room
 * cost hops, and block nobody. Higher priorities come first over all keys: where a priority may hold more than was looked at, nothing of a
 * lower one goes. `$8` concurrency of a key, `$9` its tokens a millisecond, `$10` its burst, `$11` paused names.
 * Index: jobs_waiting_keys, jobs_released, jobs_begun; primary keys of queue_key_policies and queue_buckets.
 */
function turnsSql(table: TableName, shape: Shape): string {
  const { strict, names, patient } = shape;
  const jobs = table("jobs");
  const key = keyOf("j.");
  const line = `from ${jobs} j where j.queue = $1 and ${waiting("j.")}`;
  // the first job of the next key, with its place
  const hop = (
    phase: number,
    where: string,
  ): string => `(select r.level, ${key} as key, ${phase} as phase, true as real, j.id, j.ctid, j.name
        ${line} and (-j.priority) = r.level and ${where} order by ${key}, j.run_at, j.id limit 1)`;
  // jobs without a key have no order among each other
  const share = "least(e.room, (select jobs from each_key))";
  const further = `select j.id, j.ctid, j.name, 1 + row_number() over () as lap from (
          select j.id, j.ctid, j.name ${line} and (-j.priority) = e.level and ${key} = e.key order by j.run_at, j.id
          offset 1 limit ${strict ? `case e.key when '' then ${share} else 1 end` : share} - 1
        ) j`;
  // a job that has begun is its key's first, whatever its priority
  const begun = `(select j.id, j.ctid, j.name from ${jobs} j where j.queue = $1 and j.gate = 3 and ${key} = e.key
            and j.state = 'ready' and j.held_by is null and e.key <> '' limit 1)`;
  const own = "select e.id, e.place, e.name";
  const first = strict
    ? `select first.*, 1 as lap from (${begun} union all (${own}) limit 1) first`
    : `${own}, 1 as lap`;
  return `with recursive ring (level, key, phase, real, hops, found, room, wait_ms, stopped, id, place, name) as (
    select $5::int, $6::text collate "C", $7::int, false, 0, 0, 0, null::float8, '{}'::text[] collate "C", null::uuid, null::tid, null::text
    union all
    select n.level, n.key, n.phase, n.real, r.hops + 1, r.found + (k.room > 0)::int, k.room, k.wait_ms, ${strict && names ? "case when k.stops then r.stopped || n.key else r.stopped end" : "r.stopped"},
      n.id, n.ctid, n.name
    from ring r
    cross join lateral (
      ${hop(1, `r.phase = 1 and ${key} > r.key`)}
      union all
      ${hop(2, `r.phase = 1 and ${key} <= $4::text`)}
      union all
      ${hop(2, `r.phase = 2 and ${key} > r.key and ${key} <= $4::text`)}
      union all
      (select (-j.priority), $4::text, 1, false, null, null, null ${line} and (-j.priority) > r.level
        order by (-j.priority) limit 1)
      limit 1
    ) n
    cross join lateral (${roomSql(table, shape)}) k
    where r.hops < $3::int and r.found < $2::int
  ),
  eligible as materialized (select level, key, room, hops, id, place, name from ring where room > 0),
  each_key as (select greatest(1, ceil($2::numeric / greatest(1, count(*))))::int as jobs from eligible),
  head as materialized (
    select e.level, e.key, e.room, e.hops, found.id, found.place as ctid, found.lap,
      ${names ? "found.name = any ($11::text[])" : "false"} as paused,
      count(*) over (partition by e.level, e.key) as got
    from eligible e cross join lateral (
      ${first}
      union all
      (${further})
    ) found (id, place, name, lap)
  ),
  chosen as materialized (
    select id, ctid, key, row_number() over (order by level, lap, hops) as place
    from (
      select *, row_number() over (partition by key order by level, lap) as nth from head
      where not paused and level <= coalesce((
        select min(level) from head where got = (select jobs from each_key) and got < room
      ), ${unlimited})
    ) counted
    where nth <= room order by level, lap, hops limit $2::int
  ),
  released as (${released(table, patient)}),
  ${setAside(table, strict ? "paused and key = ''" : "paused")}
  select ${answer("c.place")}, (select count(*)::int from aside) as aside,
    (select key from chosen order by place desc limit 1) as turn,
    l.level, l.key, l.phase, l.hops, l.found, (select min(wait_ms) from ring) as wait_ms
  from (select * from ring order by hops desc limit 1) l
  cross join (select $8::int, $9::float8, $10::float8, $11::text[]) as given`;
}

/** How many jobs of the key `n.key` may be released now, and when the next token of an empty bucket comes. */
function roomSql(table: TableName, { strict, counted, keyed, names }: Shape): string {
  if (!strict && !counted && !keyed) {
    return `select case when n.real then ${unlimited} else 0 end as room, null::float8 as wait_ms, false as stops`;
  }
  const jobs = table("jobs");
  const key = keyOf("j.");
  const own = keyed
    ? `left join ${table("queue_key_policies")} o on o.queue = $1 and o.key = n.key`
    : "cross join (select null::int as concurrency, null::float8 as rate_per_ms, null::int as rate_limit, null::int as rate_burst, false as paused) o";
  return `select
      case when not n.real or b.is_busy or coalesce(o.paused, false) or h.stops then 0 when n.key = '' then ${unlimited}
        else greatest(0, least(coalesce(o.concurrency, $8::int) - b.released, floor(t.tokens + 1e-6)::int - b.unstarted${strict ? ", 1" : ""}, ${unlimited}))
      end as room,
      case when n.real and n.key <> '' and floor(t.tokens + 1e-6) <= b.unstarted
        then greatest(0, (b.unstarted + 1 - t.tokens) / t.per_ms) end as wait_ms,
      h.stops
    from (select 1) one
    ${own}
    cross join lateral (
      select count(*)::int as released, count(*) filter (where j.state = 'ready')::int as unstarted,
        ${strict ? `n.key <> '' and (count(*) > 0 or ${begunSql(table)})` : "false"} as is_busy
      from ${jobs} j where j.queue = $1 and j.gate = 2 and ${key} = n.key
    ) b
    cross join lateral (select ${strict && names ? stopsSql(table) : "false"} as stops) h
    cross join lateral (
      select f.per_ms, least(f.burst, coalesce((
          select q.tokens + greatest(0, extract(epoch from clock_timestamp() - q.tokens_at)) * 1000 * f.per_ms
          from ${table("queue_buckets")} q where q.queue = $1 and q.key = n.key
        ), f.burst)) as tokens
      from (select coalesce(o.rate_limit / o.rate_per_ms, $9::float8) as per_ms, coalesce(o.rate_burst, $10::float8) as burst) f
    ) t`;
}

/** Whether the key waits at a job with a paused name, of this priority or a higher one. */
const stopsSql = (table: TableName): string => `n.key <> '' and (n.key = any (r.stopped) or coalesce((
        select g.name from ${table("jobs")} g where g.queue = $1 and g.gate = 3 and ${keyOf("g.")} = n.key
          and g.state = 'ready' and g.held_by is null limit 1
      ), n.name) = any ($11::text[]))`;

const begunSql = (table: TableName): string => `exists (
          select from ${table("jobs")} g where g.queue = $1 and g.gate = 3 and ${keyOf("g.")} = n.key
            and (g.state <> 'ready' or g.held_by is not null)
        )`;
