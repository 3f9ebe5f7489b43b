import type { RejectionCause } from "@warren/contracts";
import { isRare, type JobRow, payloadJson } from "../enqueue/job-insert.ts";
import { mayBeOneItem } from "../errors.ts";
import type { NewOutboxEvent } from "../events/outbox.ts";
import type { NewJob } from "../job.ts";
import { type BatcherOptions, createBatcher } from "../postgres/batcher.ts";
import type { Row } from "../postgres/database.ts";
import type { Statement, TableName } from "../postgres/sql.ts";
import { createRoutedWrite, isPlain, type RoutedEntry, type RoutedLedger, type RouteOutcome } from "./routed.ts";
import { acceptStatement, recordStatement } from "./statements.ts";
import { bodyParts, jobValues, requestValues } from "./values.ts";
import { within } from "./within.ts";

/** One received HTTP call, as it is kept. */
export interface ReceivedRequest {
  /** UUIDv7. */
  readonly id: string;
  readonly source: string;
  readonly provider: string | undefined;
  readonly method: string;
  /** Path and query as they stood in the request line. */
  readonly url: string;
  /** Names and values in turn, in the order and case received. */
  readonly rawHeaders: readonly string[];
  readonly peerAddress: string | undefined;
  readonly clientAddress: string | undefined;
  readonly correlationId: string;
}

/** An authentic request, and the jobs that shall come of it unless the event was accepted before. */
export interface AcceptedRequest extends ReceivedRequest {
  readonly body: Buffer;
  /** The same source and key is the same event. */
  readonly dedupeKey: string;
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  /** What the event is about, where the provider says so: an id of an object, a repository. */
  readonly eventSubject?: string | undefined;
  /** Of any kind. Plain ones (no key, nothing unique, nothing rare) share one statement with other requests. */
  readonly jobs: readonly NewJob[];
  /** For the broker: in the outbox with the same commit, sent by the dispatcher. Default none. */
  readonly events?: readonly NewOutboxEvent[];
  /** What each rule made, or why it failed, to be kept with the request. Without it nothing is kept but the jobs. */
  readonly routes?: readonly RouteOutcome[] | undefined;
}

export interface RejectedRequest extends ReceivedRequest {
  /** `undefined` where the bytes were not kept. */
  readonly body: Buffer | undefined;
  readonly bodyBytes: number;
  readonly cause: RejectionCause;
}

/** A challenge of the provider that was answered. It is no event: it has no dedupe key, and no job comes of it. */
export interface AnsweredRequest extends ReceivedRequest {
  readonly body: Buffer;
  readonly bodyBytes: number;
  readonly eventType: string | undefined;
  readonly cause?: undefined;
}

/** What is kept though no event came of it. */
export type UneventfulRequest = RejectedRequest | AnsweredRequest;

/** A job of an accepted request, committed and ready. */
export interface AcceptedJob {
  readonly id: string;
  readonly queue: string;
}

/** What became of an authentic request. It is committed when you read this. */
export type Acceptance = "accepted" | "duplicate";

/** Keeps received webhooks: request, dedupe key and jobs in one statement, so that none is ever there without the others. */
export interface WebhookStore {
  /**
   * Resolves after the commit. Concurrent calls share a statement. Exactly one of any number of requests with the same source and
   * key is `accepted`, whichever processes they come to. Throws `LEDGER_UNAVAILABLE` when it is unknown whether it was kept: a
   * repetition then settles it, because the key tells.
   */
  accept(request: AcceptedRequest): Promise<Acceptance>;
  /** Keeps refused requests with their cause, and answered challenges. */
  record(requests: readonly UneventfulRequest[]): Promise<void>;
}

export interface WebhookStoreOptions {
  readonly ledger: RoutedLedger & {
    readonly table: TableName;
    run(statement: Statement, values: readonly unknown[], lastParts?: readonly Buffer[]): Promise<readonly Row[]>;
  };
  readonly newId: () => string;
  /** Called after each commit with the jobs that it made ready. Must not throw. */
  readonly onJobs: (jobs: readonly AcceptedJob[]) => void;
  /** How long a statement may keep its requests waiting, in milliseconds. Default 10,000: senders give up soon after. */
  readonly deadlineMs?: number;
  readonly onBatch?: BatcherOptions<unknown, unknown>["onBatch"];
}

interface Entry {
  readonly row: RequestRow;
  readonly jobs: readonly JobRow[];
}

/** One request as it is written. */
export interface RequestRow {
  readonly request: ReceivedRequest;
  readonly headers: string;
  readonly bodyBytes: number;
  readonly body: Buffer | undefined;
  readonly dedupeKey?: string;
  readonly eventId?: string | undefined;
  readonly eventType?: string | undefined;
  readonly eventSubject?: string | undefined;
  readonly cause?: RejectionCause | undefined;
  readonly jobCount: number;
}

/** A batch is as heavy as its rows and bodies: 256 small requests, or 4 MiB. */
const maxBatchWeight = 256;
const bytesPerWeight = 16_384;
const weigh = ({ row }: { readonly row: RequestRow }): number => 1 + Math.floor(row.bodyBytes / bytesPerWeight);
/** A statement costs as much as five of its rows, whatever it holds: with fewer waiting, a second one beside the first does not pay. */
const worthOverlapping = 48;

export function createWebhookStore(options: WebhookStoreOptions): WebhookStore {
  const { ledger, newId, onJobs, deadlineMs = 10_000 } = options;
  const accepting = acceptStatement(ledger.table);
  const recording = recordStatement(ledger.table);

  const batcher = createBatcher<Entry, Acceptance>({
    name: "webhooks",
    maxItems: maxBatchWeight,
    worthOverlapping,
    weigh,
    splitOn: mayBeOneItem,
    run: acceptBatch,
    ...(options.onBatch === undefined ? {} : { onBatch: options.onBatch }),
  });

  async function acceptBatch(entries: readonly Entry[]): Promise<readonly Acceptance[]> {
    const written = entries.map(({ row }) => row);
    const values = [
      ...requestValues(written),
      ...jobValues(entries.map(({ jobs }, index) => ({ ordinal: index + 1, jobs }))),
    ];
    const rows = await within(deadlineMs, "storing webhooks", ledger.run(accepting, values, bodyParts(written)));
    const fresh = new Set(rows.map((row) => row["request_id"]));
    const isFresh = ({ row }: Entry): boolean => fresh.has(row.request.id);
    // jobs of governed queues wait in the ledger, and nobody is to hear of them
    const waiting = new Set(rows.flatMap((row) => row["waiting"] ?? []));
    const ready = entries.flatMap((entry) => (isFresh(entry) ? entry.jobs.filter(({ id }) => !waiting.has(id)) : []));
    if (ready.length > 0) onJobs(ready.map(({ id, job }) => ({ id, queue: job.queue })));
    return entries.map((entry): Acceptance => (isFresh(entry) ? "accepted" : "duplicate"));
  }

  // Apart from plain ones, which must not wait for somebody's key or for more statements than their own.
  const writeRouted = createRoutedWrite(ledger);
  const routed = createBatcher<RoutedEntry, Acceptance>({
    name: "webhooks_routed",
    maxItems: maxBatchWeight,
    worthOverlapping,
    weigh,
    splitOn: mayBeOneItem,
    run: async (entries) => {
      const { fresh, ready } = await within(deadlineMs, "storing webhooks", writeRouted(entries));
      if (ready.length > 0) onJobs(ready);
      return entries.map(({ row }): Acceptance => (fresh.has(row.request.id) ? "accepted" : "duplicate"));
    },
    ...(options.onBatch === undefined ? {} : { onBatch: options.onBatch }),
  });

  return {
    accept(request) {
      const row = {
        request,
        headers: JSON.stringify(request.rawHeaders),
        bodyBytes: request.body.length,
        body: request.body,
        dedupeKey: request.dedupeKey,
        eventId: storable(request.eventId),
        eventType: storable(request.eventType),
        eventSubject: storable(request.eventSubject),
        jobCount: request.jobs.length,
      };
      if (!isPlain(request, isRare)) return routed.add({ row, request });
      const jobs = request.jobs.map((job) => ({ job, id: job.id ?? newId(), payload: payloadJson(job) }));
      return batcher.add({ row, jobs });
    },
    async record(requests) {
      if (requests.length === 0) return;
      const rows = requests.map((request) => ({
        request,
        headers: JSON.stringify(request.rawHeaders),
        bodyBytes: request.bodyBytes,
        body: request.body,
        cause: request.cause,
        eventType: request.cause === undefined ? storable(request.eventType) : undefined,
        jobCount: 0,
      }));
      await ledger.run(recording, requestValues(rows), bodyParts(rows));
    },
  };
}

const maxDescriptionLength = 500;

/** What a sender wrote about its event, as text that Postgres can keep: no U+0000, no half of a surrogate pair, not endless. */
export function storable(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return text.slice(0, maxDescriptionLength).toWellFormed().replaceAll("\u0000", "\uFFFD");
}
