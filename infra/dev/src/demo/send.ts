import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import type { Outgoing } from "./outgoing.ts";

export interface Sending {
  readonly correlationId: string;
  readonly request: Outgoing;
  readonly copies: number;
  readonly genuine: boolean;
}

export interface Sent {
  readonly genuine: boolean;
  readonly status: number;
  /** From the first byte sent to the whole answer read. */
  readonly ackMs: number;
}

export interface SendOptions {
  readonly url: string;
  /** Sendings a second; 0 for as fast as it goes. */
  readonly rate: number;
  readonly connections: number;
  readonly onSent: (sent: Sent) => void;
}

/** A request that got no answer at all. */
const noAnswer = 0;

/** Sends everything; the copies of one event go out together. A 503 is repeated, as a provider would. */
export async function sendAll(sendings: readonly Sending[], options: SendOptions): Promise<void> {
  const { connections, rate, onSent } = options;
  const pool = new Pool(options.url, { connections, pipelining: 1, headersTimeout: 30_000, bodyTimeout: 30_000 });
  const startedAt = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < sendings.length; at = next++) {
      const sending = sendings[at];
      if (sending === undefined) return;
      const waitMs = rate === 0 ? 0 : startedAt + (at * 1000) / rate - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      await Promise.all(Array.from({ length: sending.copies }, () => sendOne(pool, sending).then(onSent)));
    }
  };
  try {
    await Promise.all(Array.from({ length: connections }, worker));
  } finally {
    await pool.destroy();
  }
}

async function sendOne(pool: Pool, { correlationId, request, genuine }: Sending): Promise<Sent> {
  for (let attempt = 1; ; attempt++) {
    const startedAt = performance.now();
    const status = await post(pool, correlationId, request);
    const ackMs = performance.now() - startedAt;
    const again = genuine && (status === noAnswer || status === 503) && attempt < 10;
    if (!again) return { genuine, status, ackMs };
    await sleep(200 * attempt);
  }
}

async function post(pool: Pool, correlationId: string, request: Outgoing): Promise<number> {
  try {
    const { statusCode, body } = await pool.request({
      method: "POST",
      path: `/webhooks/${request.source}`,
      headers: { ...request.headers, "x-correlation-id": correlationId },
      body: request.body,
    });
    await body.dump();
    return statusCode;
  } catch {
    return noAnswer;
  }
}
