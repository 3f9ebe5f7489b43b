import { type JobRow, sendGraceMs } from "../enqueue/job-insert.ts";
import { plainArray, textArray } from "../postgres/arrays.ts";
import type { RequestRow } from "./store.ts";

type Value = string | number | undefined;

/** Places that rows point to, one a row, and the distinct tuples that stand there, by column. Places count from 1, as in Postgres. */
interface Shared {
  readonly places: readonly number[];
  readonly columns: readonly (readonly Value[])[];
}

/** Tuples that a row is compared with; what differs from all of them takes a place of its own, and nothing is shared. */
const comparedTuples = 8;

/**
 * What the rows of a batch have in common is sent once. Most of what we keep of a webhook is the same for all of its sender, and each
 * array costs this process and the server about as much an element as the stored column itself.
 */
function share(tuples: readonly (readonly Value[])[], width: number): Shared {
  const distinct: (readonly Value[])[] = [];
  const places = tuples.map((tuple) => {
    const oldest = Math.max(0, distinct.length - comparedTuples);
    for (let at = distinct.length - 1; at >= oldest; at -= 1) {
      if (distinct[at]?.every((value, column) => value === tuple[column]) === true) return at + 1;
    }
    return distinct.push(tuple);
  });
  return { places, columns: Array.from({ length: width }, (_, column) => distinct.map((tuple) => tuple[column])) };
}

/** From this size on a body is worth a write of its own; smaller ones are copied together. */
const ownPartBytes = 16_384;

/**
 * The bodies, one after the other, as parts of the one binary parameter that the statement cuts up again: as elements of an array they
 * would be written in hexadecimal, which doubles them, and be parsed on both sides.
 */
export function bodyParts(rows: readonly Pick<RequestRow, "body">[]): readonly Buffer[] {
  const parts: Buffer[] = [];
  let small: Buffer[] = [];
  const gather = (): void => {
    if (small.length > 0) parts.push(Buffer.concat(small));
    small = [];
  };
  for (const { body } of rows) {
    if (body === undefined) continue;
    if (body.length < ownPartBytes) {
      small.push(body);
      continue;
    }
    gather();
    parts.push(body);
  }
  gather();
  return parts;
}

/**
 * The values of `requestInput`'s parameters. Headers travel as one JSON array: as array elements their many quotes would be escaped here
 * and unescaped there.
 */
export function requestValues(rows: readonly RequestRow[]): readonly unknown[] {
  const starts: (number | undefined)[] = [];
  const firstJobs: number[] = [];
  const lastJobs: number[] = [];
  let at = 1;
  let jobs = 0;
  for (const { body, jobCount } of rows) {
    starts.push(body === undefined ? undefined : at);
    if (body !== undefined) at += body.length;
    firstJobs.push(jobs + 1);
    jobs += jobCount;
    lastJobs.push(jobs);
  }
  const { places, columns } = share(rows.map(commonOf), 9);
  return [
    plainArray(rows.map(({ request }) => request.id)),
    textArray(rows.map(({ request }) => request.correlationId)),
    plainArray(rows.map(({ bodyBytes }) => bodyBytes)),
    `[${rows.map(({ headers }) => headers).join(",")}]`,
    textArray(rows.map(({ dedupeKey }) => dedupeKey)),
    textArray(rows.map(({ eventId }) => eventId)),
    textArray(rows.map(({ eventSubject }) => eventSubject)),
    plainArray(starts),
    plainArray(firstJobs),
    plainArray(lastJobs),
    plainArray(places),
    ...columns.map((column) => textArray(column as readonly (string | undefined)[])),
  ];
}

/** The columns of `sharedRequestColumns`, in order. */
function commonOf({ request, eventType, cause }: RequestRow): readonly (string | undefined)[] {
  const { source, provider, method, url, peerAddress, clientAddress } = request;
  const question = url.indexOf("?");
  const path = question === -1 ? url : url.slice(0, question);
  const query = question === -1 ? undefined : url.slice(question + 1);
  return [source, provider, method, path, query, peerAddress, clientAddress, eventType, cause];
}

/** Jobs of one request, which stands at `ordinal` (from 1) in its batch. */
export interface JobsOfRequest {
  readonly ordinal: number;
  readonly jobs: readonly JobRow[];
}

/** The values of `jobInput`'s parameters. */
export function jobValues(groups: readonly JobsOfRequest[]): readonly unknown[] {
  const rows = groups.flatMap(({ jobs }) => jobs);
  const { places, columns } = share(rows.map(kindOf), 12);
  return [
    plainArray(rows.map(({ id }) => id)),
    plainArray(groups.flatMap(({ ordinal, jobs }) => jobs.map(() => ordinal))),
    textArray(rows.map(({ job }) => job.correlationId)),
    `[${rows.map(({ payload }) => payload).join(",")}]`,
    plainArray(places),
    ...columns.map((column) => textArray(column.map((value) => (value === undefined ? undefined : String(value))))),
  ];
}

/** The columns of `sharedJobColumns`, in order. */
function kindOf({ job }: JobRow): readonly Value[] {
  return [
    job.queue,
    job.name,
    job.version,
    job.priority,
    job.delayMs,
    job.runAt?.toISOString(),
    job.maxAttempts,
    job.maxStalls,
    job.breakers === undefined ? undefined : textArray(job.breakers),
    job.trace,
    job.key,
    job.sendBy === "enqueuer" ? sendGraceMs : 0,
  ];
}
