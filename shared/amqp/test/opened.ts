import { createMetrics, type Metrics } from "@warren/observability";
import { createWorld, type World } from "@warren/testing";
import { type AmqpLog, type AmqpSession, openSession, type SessionOptions } from "../src/index.ts";

export interface Opened extends AsyncDisposable {
  readonly world: World;
  readonly session: AmqpSession;
  readonly metrics: Metrics;
}

export const silent: AmqpLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A world with a session that is connected to it, perhaps through a proxy. */
export async function opened(
  options: Partial<SessionOptions> = {},
  urlOf: (world: World) => string = (world) => world.amqpUrl,
): Promise<Opened> {
  const world = await createWorld();
  const metrics = createMetrics({ service: "test", version: "0" });
  const session = await openSession({ urls: [urlOf(world)], name: "test", log: silent, metrics, ...options });
  await session.connected({ signal: AbortSignal.timeout(30_000) });
  return {
    world,
    session,
    metrics,
    [Symbol.asyncDispose]: async () => {
      await session[Symbol.asyncDispose]();
      await world[Symbol.asyncDispose]();
    },
  };
}

export function brokerPort(url: string): number {
  return Number(new URL(url).port);
}

/** A plain durable quorum queue. */
export async function makeQueue(session: AmqpSession, name: string): Promise<void> {
  await session.withChannel((channel) =>
    channel.assertQueue(name, { durable: true, arguments: { "x-queue-type": "quorum" } }),
  );
}

/** Puts messages into a queue, body = id. */
export async function fill(session: AmqpSession, queue: string, ids: readonly string[]): Promise<void> {
  await session.withConfirmChannel(async (channel) => {
    for (const id of ids) channel.sendToQueue(queue, Buffer.from(id), { messageId: id, persistent: true });
    await channel.waitForConfirms();
  });
}

/** Message ids in the queue, in order, without taking them. */
export async function contents(session: AmqpSession, queue: string): Promise<readonly string[]> {
  return await session.withChannel(async (channel) => {
    const ids: string[] = [];
    for (let got = await channel.get(queue); got !== false; got = await channel.get(queue)) {
      ids.push(String(got.properties.messageId));
    }
    return ids;
  });
}
