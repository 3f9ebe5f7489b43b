import { setTimeout as sleep } from "node:timers/promises";
import type { Channel, ConfirmChannel, GetMessage, MessageProperties, Options } from "amqplib";
import { PublishError } from "./errors.ts";
import { withoutDeath } from "./outgoing.ts";
import type { AmqpSession } from "./session.ts";

export interface Moved {
  readonly moved: number;
  readonly duplicates: number;
}

const batchSize = 200;
const settlePauseMs = 50;

/**
 * Moves all messages from one queue to another, in order, batch by batch: publish, wait for the confirms, then ack. A message id that
 * this call has moved already is dropped. Dead-letter history is kept under another header.
 */
export async function moveMessages(
  session: Pick<AmqpSession, "withChannel" | "withConfirmChannel" | "depth">,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<Moved> {
  const seen = new Set<string>();
  let moved = 0;
  let duplicates = 0;
  await session.withChannel(async (source) => {
    await session.withConfirmChannel(async (target) => {
      for (;;) {
        const batch = await take(source, from);
        if (batch.length === 0) {
          // A message that somebody else just gave back may still be on its way into the ready list.
          await sleep(settlePauseMs);
          const depth = await session.depth(from);
          if (depth === undefined || depth.messages === 0) return;
          continue;
        }
        const fresh = batch.filter(({ properties }) => isFresh(properties, seen));
        await store(target, to, fresh);
        const last = batch.at(-1);
        if (last !== undefined) source.ack(last, true);
        moved += fresh.length;
        duplicates += batch.length - fresh.length;
      }
    });
  });
  return { moved, duplicates };
}

async function take(channel: Channel, queue: string): Promise<readonly GetMessage[]> {
  const batch: GetMessage[] = [];
  while (batch.length < batchSize) {
    const message = await channel.get(queue);
    if (message === false) break;
    batch.push(message);
  }
  return batch;
}

function isFresh({ messageId }: MessageProperties, seen: Set<string>): boolean {
  if (typeof messageId !== "string" || messageId === "") return true;
  if (seen.has(messageId)) return false;
  seen.add(messageId);
  return true;
}

/** Rejects unless the broker has confirmed and routed every one of them. */
async function store(channel: ConfirmChannel, queue: string, messages: readonly GetMessage[]): Promise<void> {
  let returned = 0;
  const count = (): void => {
    returned++;
  };
  channel.on("return", count);
  try {
    for (const { content, properties } of messages) channel.sendToQueue(queue, content, preserved(properties));
    await channel.waitForConfirms();
  } finally {
    channel.off("return", count);
  }
  if (returned > 0) {
    throw new PublishError("AMQP_UNROUTABLE", `queue ${queue} disappeared during the migration; run it again`);
  }
}

/** `userId` would have to name the user of this connection; `clusterId` is a relic. */
const notKept = new Set(["headers", "deliveryMode", "userId", "clusterId"]);

function preserved(properties: MessageProperties): Options.Publish {
  const kept = Object.entries(properties).filter(([name, value]) => value !== undefined && !notKept.has(name));
  const headers = withoutDeath(withoutRouting(properties.headers ?? {}));
  return { ...Object.fromEntries(kept), headers, persistent: true, mandatory: true };
}

/** The new queue counts deliveries from nothing, and `CC` would send the message to other queues once more. */
function withoutRouting(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "x-delivery-count" && name !== "CC"));
}
