import { setTimeout as sleep } from "node:timers/promises";
import type { Channel, ChannelModel, ConfirmChannel } from "amqplib";

const closeTimeoutMs = 2_000;

/** Listens to a channel's end. Without an `error` listener a channel error would take the whole connection down. */
export function ownChannel(
  channel: Channel,
  { onError, onClose }: { readonly onError: (error: Error) => void; readonly onClose: () => void },
): void {
  channel.on("error", onError);
  channel.on("close", onClose);
}

/** Closes a channel that may be closed already, or whose peer may never answer. */
export async function closeQuietly(channel: Pick<Channel, "close">): Promise<void> {
  await Promise.race([channel.close().catch(() => undefined), sleep(closeTimeoutMs, undefined, { ref: false })]);
}

/** Runs on a channel of its own, so that a refusal by the broker (which closes the channel) harms nothing else. */
export async function withChannel<T>(model: ChannelModel, use: (channel: Channel) => Promise<T>): Promise<T> {
  return await borrow(await model.createChannel(), use);
}

export async function withConfirmChannel<T>(
  model: ChannelModel,
  use: (channel: ConfirmChannel) => Promise<T>,
): Promise<T> {
  return await borrow(await model.createConfirmChannel(), use);
}

async function borrow<C extends Channel, T>(channel: C, use: (channel: C) => Promise<T>): Promise<T> {
  // The call that failed rejects with the same error.
  channel.on("error", () => undefined);
  try {
    return await use(channel);
  } finally {
    await closeQuietly(channel);
  }
}
