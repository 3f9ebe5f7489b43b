import type { UneventfulRequest, WebhookStore } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";

export interface RejectionLimits {
  /** Most rejected requests of one source that are kept, a minute. */
  readonly perMinute: number;
  /** Most bytes of their bodies, a minute. */
  readonly bytesPerMinute: number;
  /** Most that wait to be written. */
  readonly waiting: number;
  /** Most bytes of their bodies, over all sources: a database that is slow or away must not fill our memory. */
  readonly waitingBytes: number;
}

export const defaultRejectionLimits: RejectionLimits = {
  perMinute: 120,
  bytesPerMinute: 8_388_608,
  waiting: 500,
  waitingBytes: 33_554_432,
};

export interface RejectionsOptions {
  readonly store: Pick<WebhookStore, "record">;
  readonly limits: RejectionLimits;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/**
 * Keeps rejected requests, with their cause, and answered challenges off the path of accepted ones and within bounds: a flood of forgeries is counted in
 * full, but only its first requests of each minute are kept. Never throws, never waits.
 */
export interface Rejections {
  /** `bucket` is what shares a limit: the source's name, or one bucket for all unknown names. */
  record(bucket: string, request: UneventfulRequest): void;
  /** Resolves when what waits is written (or given up). */
  drain(): Promise<void>;
}

interface Bucket {
  minute: number;
  kept: number;
  keptBytes: number;
}

const minuteMs = 60_000;
const batchSize = 100;

export function createRejections(options: RejectionsOptions): Rejections {
  const { store, limits, log, now } = options;
  const dropped = options.metrics.counter({
    name: "warren_webhook_rejections_not_kept_total",
    help: "Rejected webhooks that were counted but not stored, because of the limits or a failing store",
    labels: ["source"],
  });
  const buckets = new Map<string, Bucket>();
  let waiting: { readonly bucket: string; readonly request: UneventfulRequest }[] = [];
  let waitingBytes = 0;
  let writing: Promise<void> | undefined;

  function admits(name: string, bytes: number): boolean {
    const minute = Math.floor(now() / minuteMs);
    let bucket = buckets.get(name);
    if (bucket === undefined || bucket.minute !== minute) {
      bucket = { minute, kept: 0, keptBytes: 0 };
      buckets.set(name, bucket);
    }
    if (bucket.kept >= limits.perMinute || bucket.keptBytes + bytes > limits.bytesPerMinute) return false;
    bucket.kept += 1;
    bucket.keptBytes += bytes;
    return true;
  }

  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, batchSize);
      waiting = waiting.slice(batchSize);
      try {
        await store.record(batch.map(({ request }) => request));
      } catch (error) {
        for (const { bucket } of batch) dropped.inc({ source: bucket });
        log.warn({ err: error, requests: batch.length }, "rejected webhooks not kept");
      }
      for (const { request } of batch) waitingBytes -= bytesOf(request);
    }
    writing = undefined;
  }

  return {
    record(bucket, request) {
      const bytes = bytesOf(request);
      const full = waiting.length >= limits.waiting || waitingBytes + bytes > limits.waitingBytes;
      if (full || !admits(bucket, request.body?.length ?? 0)) {
        dropped.inc({ source: bucket });
        return;
      }
      waitingBytes += bytes;
      waiting.push({ bucket, request });
      writing ??= write();
    },
    async drain() {
      await writing;
    },
  };
}

/** What one request holds in memory, headers included. */
function bytesOf({ body, rawHeaders, url }: UneventfulRequest): number {
  let bytes = (body?.length ?? 0) + url.length;
  for (const text of rawHeaders) bytes += text.length;
  return bytes;
}
