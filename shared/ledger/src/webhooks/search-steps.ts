import type { RunSql, TableName } from "../postgres/sql.ts";
import type { BodyMatcher } from "./body-path.ts";
import { statesOfEvents } from "./event-states.ts";
import { dayOf, type IdRange, idAfter, idBefore, largestId } from "./id-range.ts";
import { type RequestFilter, requestFilterJson, requestFilterSql } from "./request-filter.ts";

export type Transact = <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;

/** Of one statement of a search. */
export const statementTimeoutMs = 5_000;
const bodyBytesPerRead = 8_388_608;

export interface Candidate {
  readonly id: string;
  readonly size: number;
}

export interface Step {
  readonly candidates: readonly Candidate[];
  readonly looked: number;
  /** The last id of the range that is settled by this step; `undefined`: all of it. */
  readonly last: string | undefined;
}

/** The range cut to what is there, so that an open end costs nothing. Index: primary keys of the first and last partitions. */
export async function extent(transact: Transact, table: TableName, range: IdRange): Promise<IdRange | undefined> {
  const { rows } = await transact((run) =>
    run(
      `select (select id from ${table("webhook_requests")} where id >= $1::uuid and id < $2::uuid order by id limit 1) as first,
         (select id from ${table("webhook_requests")} where id >= $1::uuid and id < $2::uuid order by id desc limit 1) as last`,
      [range.from, range.before],
    ),
  );
  const { first, last } = rows[0] ?? {};
  if (typeof first !== "string" || typeof last !== "string") return undefined;
  return { from: first, before: last === largestId ? largestId : idAfter(last) };
}

interface StepOptions {
  readonly filter: RequestFilter;
  readonly range: IdRange;
  readonly older: boolean;
  readonly limit: number;
}

const mostOfOneKey = 1_000;

/** The ids that a filter names, or all of one dedupe key (the event and its latest duplicates). Index: webhook_dedupe, webhook_requests_duplicates. */
export async function listedIds(
  transact: Transact,
  table: TableName,
  { ids, source, key }: RequestFilter,
): Promise<readonly string[] | undefined> {
  if (ids !== undefined) return ids;
  if (source === undefined || key === undefined) return undefined;
  const { rows } = await transact((run) =>
    run(
      `select request_id as id from ${table("webhook_dedupe")} where source = $1 and key = $2
       union
       (select id from ${table("webhook_requests")} where source = $1 and dedupe_key = $2 and status = 'duplicate'
        order by id desc limit ${mostOfOneKey})`,
      [source, key],
    ),
  );
  return rows.map((row) => String(row["id"]));
}

/** Index: webhook_requests (id). */
export async function listStep(
  transact: Transact,
  table: TableName,
  { filter, range, older, listed }: Omit<StepOptions, "limit"> & { readonly listed: readonly string[] },
): Promise<Step> {
  const { rows } = await limited(transact, [], (run) =>
    run(
      `select r.id, r.body_bytes from ${table("webhook_requests")} r
       where r.id = any ($4::uuid[]) and r.id >= $2::uuid and r.id < $3::uuid and ${requestFilterSql(1)}
       order by r.id ${older ? "desc" : "asc"}`,
      [requestFilterJson(filter), range.from, range.before, listed],
    ),
  );
  const candidates = rows.map((row) => ({ id: String(row["id"]), size: Number(row["body_bytes"]) }));
  return { candidates, looked: rows.length, last: undefined };
}

/** Reads so many rows of the range in order. Index: webhook_requests (id). */
export async function scanStep(transact: Transact, table: TableName, options: StepOptions): Promise<Step> {
  const { filter, range, older, limit } = options;
  const order = older ? "desc" : "asc";
  const { rows } = await limited(transact, [], (run) =>
    run(
      `with scanned as materialized (
         select r.id, r.body_bytes, (${requestFilterSql(1)}) as fits
         from ${table("webhook_requests")} r where r.id >= $2::uuid and r.id < $3::uuid order by r.id ${order} limit $4
       )
       select count(*)::integer as looked, (array_agg(id order by id ${order}))[count(*)] as last,
         coalesce(json_agg(json_build_array(id, body_bytes) order by id ${order}) filter (where fits), '[]') as fitting
       from scanned`,
      [requestFilterJson(filter), range.from, range.before, limit],
    ),
  );
  const [row] = rows;
  const looked = Number(row?.["looked"] ?? 0);
  const fitting = (row?.["fitting"] ?? []) as readonly (readonly [string, number])[];
  return {
    candidates: fitting.map(([id, size]) => ({ id, size })),
    looked,
    last: looked < limit ? undefined : String(row?.["last"]),
  };
}

/**
 * Finds ids and subjects in one day of the range. Index: webhook_requests_named of the day's partition, which only a bitmap can read; or
 * webhook_requests (id), where the subject is so common that the page fills sooner that way.
 */
export async function indexStep(transact: Transact, table: TableName, options: StepOptions): Promise<Step> {
  const { filter, range, older, limit } = options;
  const day = dayOf(range, older);
  const order = older ? "desc" : "asc";
  const named = [
    ...(filter.eventId === undefined ? [] : ["r.event_id = $5::text"]),
    ...(filter.subject === undefined ? [] : ["r.event_subject = $6::text"]),
  ];
  const { rows } = await limited(transact, ["enable_bitmapscan = on"], (run) =>
    run(
      `select r.id, r.body_bytes from ${table("webhook_requests")} r
       where r.id >= $2::uuid and r.id < $3::uuid and ${named.join(" and ")}
         and ($5::text is null or true) and ($6::text is null or true) and ${requestFilterSql(1)}
       order by r.id ${order} limit $4`,
      [requestFilterJson(filter), day.from, day.before, limit, filter.eventId ?? null, filter.subject ?? null],
    ),
  );
  const candidates = rows.map((row) => ({ id: String(row["id"]), size: Number(row["body_bytes"]) }));
  const isWhole = day.from === range.from && day.before === range.before;
  if (rows.length === limit) return { candidates, looked: rows.length, last: candidates.at(-1)?.id };
  const edge = older ? day.from : idBefore(day.before);
  return { candidates, looked: rows.length, last: isWhole ? undefined : edge };
}

async function limited<T>(
  transact: Transact,
  settings: readonly string[],
  work: (run: RunSql) => Promise<T>,
): Promise<T> {
  return transact(async (run) => {
    const all = [`statement_timeout = ${statementTimeoutMs}`, ...settings];
    await run(all.map((setting) => `set local ${setting}`).join("; "), []);
    return work(run);
  });
}

/** Parts whose bodies are read at once. */
export function* chunks(candidates: readonly Candidate[]): Generator<readonly Candidate[]> {
  let part: Candidate[] = [];
  let bytes = 0;
  for (const candidate of candidates) {
    if (part.length > 0 && bytes + candidate.size > bodyBytesPerRead) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(candidate);
    bytes += candidate.size;
  }
  if (part.length > 0) yield part;
}

/** Those of a part whose body and jobs fit too, in its order. Index: primary keys. */
export async function narrow(
  transact: Transact,
  table: TableName,
  {
    chunk,
    filter,
    matcher,
  }: {
    readonly chunk: readonly Candidate[];
    readonly filter: RequestFilter;
    readonly matcher: BodyMatcher | undefined;
  },
): Promise<readonly Candidate[]> {
  let kept = chunk;
  if (matcher !== undefined) {
    const { rows } = await limited(transact, [], (run) =>
      run(
        `select r.id, r.body from ${table("webhook_requests")} r
         where r.id = any ($1::uuid[]) and r.body is not null and (
           position('\\x5c753030'::bytea in r.body) > 0
           or not exists (select from unnest($2::text[]) needle where position(convert_to(needle, 'UTF8') in r.body) = 0)
         )`,
        [kept.map(({ id }) => id), matcher.needles],
      ),
    );
    const matching = new Set(
      rows.flatMap((row) => (matcher.matches(row["body"] as Buffer) ? [String(row["id"])] : [])),
    );
    kept = kept.filter(({ id }) => matching.has(id));
  }
  const { states } = filter;
  if (states !== undefined && kept.length > 0) {
    const stateOf = await transact((run) =>
      statesOfEvents(
        run,
        table,
        kept.map(({ id }) => id),
      ),
    );
    kept = kept.filter(({ id }) => {
      const state = stateOf.get(id)?.state;
      return state !== undefined && states.includes(state);
    });
  }
  return kept;
}
