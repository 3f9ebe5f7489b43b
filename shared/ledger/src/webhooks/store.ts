import type { RejectionCause } from "@warren/contracts";
import { type BatcherOptions, createBatcher } from "../batcher.ts";
import type { Row } from "../database.ts";
import { LedgerUnavailableError, mayBeOneItem } from "../errors.ts";
import type { NewJob } from "../job.ts";
import { jobRowJson } from "../job-insert.ts";
import type { Statement, TableName } from "../sql.ts";
import { acceptStatement, rejectStatement } from "./statements.ts";

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
  readonly jobs: readonly NewJob[];
}

export interface RejectedRequest extends ReceivedRequest {
  /** `undefined` where the bytes were not kept. */
  readonly body: Buffer | undefined;
  readonly bodyBytes: number;
  readonly cause: RejectionCause;
}

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
  /** Keeps refused requests with their cause. */
  reject(requests: readonly RejectedRequest[]): Promise<void>;
}

export interface WebhookStoreOptions {
  readonly ledger: {
    readonly table: TableName;
    run(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]>;
  };
  readonly newId: () => string;
  /** Called after each commit with the jobs that it made ready. Must not throw. */
  readonly onJobs: (jobs: readonly AcceptedJob[]) => void;
  /** How long a statement may keep its requests waiting, in milliseconds. Default 10,000: senders give up soon after. */
  readonly deadlineMs?: number;
  readonly onBatch?: BatcherOptions<unknown, unknown>["onBatch"];
}

interface Entry {
  readonly id: string;
  /** The row as JSON text but for its place in the blob of bodies. */
  readonly json: string;
  readonly body: Buffer;
  readonly jobs: readonly AcceptedJob[];
  readonly jobRows: readonly string[];
}

/** A batch is as heavy as its rows and bodies: 256 small requests, or 4 MiB. */
const maxBatchWeight = 256;
const bytesPerWeight = 16_384;

export function createWebhookStore(options: WebhookStoreOptions): WebhookStore {
  const { ledger, newId, onJobs, deadlineMs = 10_000 } = options;
  const accepting = acceptStatement(ledger.table);
  const rejecting = rejectStatement(ledger.table);

  const batcher = createBatcher<Entry, Acceptance>({
    name: "webhooks",
    maxItems: maxBatchWeight,
    weigh: ({ body }) => 1 + Math.floor(body.length / bytesPerWeight),
    splitOn: mayBeOneItem,
    run: acceptBatch,
    ...(options.onBatch === undefined ? {} : { onBatch: options.onBatch }),
  });

  async function acceptBatch(entries: readonly Entry[]): Promise<readonly Acceptance[]> {
    const { json, blob } = pack(entries);
    const jobRows = `[${entries.flatMap((entry) => entry.jobRows).join(",")}]`;
    const rows = await within(deadlineMs, ledger.run(accepting, [json, blob, jobRows]));
    const fresh = new Set(rows.map((row) => row["request_id"]));
    const results = entries.map(({ id }): Acceptance => (fresh.has(id) ? "accepted" : "duplicate"));
    const ready = entries.flatMap((entry) => (fresh.has(entry.id) ? entry.jobs : []));
    if (ready.length > 0) onJobs(ready);
    return results;
  }

  return {
    accept(request) {
      const jobs = request.jobs.map((job) => ({ job, id: job.id ?? newId() }));
      return batcher.add({
        id: request.id,
        body: request.body,
        json: fieldsOf(request, request.body.length, {
          dedupe_key: request.dedupeKey,
          event_id: storable(request.eventId),
          event_type: storable(request.eventType),
          job_ids: jobs.map(({ id }) => id),
        }),
        jobs: jobs.map(({ job, id }) => ({ id, queue: job.queue })),
        jobRows: jobs.map(({ job, id }) => jobRowJson(job, id)),
      });
    },
    async reject(requests) {
      if (requests.length === 0) return;
      const { json, blob } = pack(
        requests.map((request) => ({
          body: request.body,
          json: fieldsOf(request, request.bodyBytes, { cause: request.cause }),
        })),
      );
      await ledger.run(rejecting, [json, blob]);
    },
  };
}

/**
 * Bodies travel as one binary parameter that the statement cuts up again: as elements of an array they would be written in
 * hexadecimal, which doubles them, and be parsed on both sides.
 */
function pack(entries: readonly { readonly json: string; readonly body: Buffer | undefined }[]) {
  const rows: string[] = [];
  const bodies: Buffer[] = [];
  let at = 1;
  for (const { json, body } of entries) {
    // an open object: its last two fields are written here
    rows.push(body === undefined ? `${json}}` : `${json},"at":${at},"size":${body.length}}`);
    if (body === undefined) continue;
    bodies.push(body);
    at += body.length;
  }
  return { json: `[${rows.join(",")}]`, blob: Buffer.concat(bodies, at - 1) };
}

/** A request's row as JSON text without its closing brace. */
function fieldsOf(request: ReceivedRequest, bodyBytes: number, more: Readonly<Record<string, unknown>>): string {
  const question = request.url.indexOf("?");
  const fields = {
    id: request.id,
    source: request.source,
    provider: request.provider,
    method: request.method,
    path: question === -1 ? request.url : request.url.slice(0, question),
    query: question === -1 ? undefined : request.url.slice(question + 1),
    peer_address: request.peerAddress,
    client_address: request.clientAddress,
    correlation_id: request.correlationId,
    body_bytes: bodyBytes,
    headers: request.rawHeaders,
    ...more,
  };
  return JSON.stringify(fields).slice(0, -1);
}

const maxDescriptionLength = 500;

/** What a sender wrote about its event, as text that Postgres can keep: no U+0000, no half of a surrogate pair, not endless. */
function storable(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return text.slice(0, maxDescriptionLength).toWellFormed().replaceAll("\u0000", "\uFFFD");
}

async function within<T>(deadlineMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new LedgerUnavailableError(`storing webhooks: no answer within ${deadlineMs} ms`));
    }, deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
