import type { ConsumeMessage } from "amqplib";
import type { Verdict } from "./ack-frontier.ts";
import type { ReceivedDelivery } from "./delivery.ts";
import type { Line, Remains } from "./line.ts";
import { SettledMemory } from "./settled-memory.ts";

const memoryLimit = 10_000;
const memoryMaxAgeMs = 600_000;

export type Recognised =
  /** Never seen here: run it. */
  | { readonly kind: "new" }
  /** Settled on a channel that is gone: settle this delivery the same way, without a run. */
  | { readonly kind: "settled"; readonly verdict: Verdict }
  /** Its handler is still running here, and now continues on this delivery. */
  | { readonly kind: "running" };

/**
 * What a consumer knows of messages whose channel is gone, by message id: what was settled and the broker may not have heard of, and
 * what still runs. Only a message that the broker marks as redelivered is compared, so a later sending is never swallowed.
 */
export class Redeliveries {
  readonly #settled: SettledMemory;
  readonly #running = new Map<string, ReceivedDelivery>();

  constructor(prefetch: number) {
    this.#settled = new SettledMemory({
      limit: Math.max(memoryLimit, prefetch * 2),
      maxAgeMs: memoryMaxAgeMs,
      nowMs: () => performance.now(),
    });
  }

  /** A channel is gone and left these. */
  keep({ open, uncertain }: Remains): void {
    for (const [messageId, verdict] of uncertain) this.#settled.remember(messageId, verdict);
    for (const delivery of open) {
      if (delivery.messageId !== undefined) this.#running.set(delivery.messageId, delivery);
    }
  }

  /** A delivery was settled after its channel was gone. */
  settledLate({ messageId }: ReceivedDelivery, verdict: Verdict): void {
    if (messageId === undefined) return;
    this.#running.delete(messageId);
    if (verdict !== "requeue") this.#settled.remember(messageId, verdict);
  }

  recognise(line: Line, message: ConsumeMessage): Recognised {
    const messageId: unknown = message.properties.messageId;
    if (!message.fields.redelivered || typeof messageId !== "string") return { kind: "new" };
    const verdict = this.#settled.take(messageId);
    if (verdict !== undefined) return { kind: "settled", verdict };
    const running = this.#running.get(messageId);
    if (running === undefined) return { kind: "new" };
    this.#running.delete(messageId);
    running.rebind(message, line);
    line.deliver(running);
    return { kind: "running" };
  }
}
