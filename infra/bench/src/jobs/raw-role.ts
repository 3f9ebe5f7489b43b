import { setImmediate as nextTurn } from "node:timers/promises";
import { type ChannelModel, connect } from "amqplib";
import { serveRole } from "../role.ts";

/**
 * The limit that Warren is measured against: plain amqplib on a quorum queue, as fast as one is told to write it.
 * Persistent messages, publisher confirms in a window, one multiple-ack per event-loop turn, Nagle off.
 */
const url = process.env["BENCH_AMQP_URL"] ?? "";
const queue = "bench.raw";
let connection: ChannelModel | undefined;

async function open(): Promise<ChannelModel> {
  connection ??= await connect(url, { noDelay: true });
  return connection;
}

async function publish(count: number, bytes: number, window: number): Promise<object> {
  const channel = await (await open()).createConfirmChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  const body = Buffer.alloc(bytes, "x");
  let inFlight = 0;
  let wake: (() => void) | undefined;
  for (let sent = 0; sent < count; sent++) {
    if (inFlight >= window) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    inFlight++;
    channel.sendToQueue(queue, body, { persistent: true, messageId: String(sent) }, (error: unknown) => {
      if (error !== null && error !== undefined) throw new Error("the broker refused a message");
      inFlight--;
      if (wake !== undefined && inFlight <= window / 2) {
        wake();
        wake = undefined;
      }
    });
    if (sent % 200 === 0) await nextTurn();
  }
  await channel.waitForConfirms();
  await channel.close();
  return { published: count };
}

async function consume(count: number, prefetch: number): Promise<object> {
  const channel = await (await open()).createChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  await channel.prefetch(prefetch);
  const seen = new Set<string>();
  let received = 0;
  let lastTag: Parameters<typeof channel.ack>[0] | undefined;
  let flushScheduled = false;
  await new Promise<void>((resolve, reject) => {
    channel
      .consume(queue, (message) => {
        if (message === null) return reject(new Error("the broker cancelled the consumer"));
        received++;
        seen.add(String(message.properties.messageId));
        lastTag = message;
        if (flushScheduled) return;
        flushScheduled = true;
        setImmediate(() => {
          flushScheduled = false;
          if (lastTag !== undefined) channel.ack(lastTag, true);
          lastTag = undefined;
          if (seen.size >= count) resolve();
        });
      })
      .catch(reject);
  });
  await channel.close();
  return { unique: seen.size, duplicates: received - seen.size };
}

serveRole(async (command) => {
  switch (command.do) {
    case "publish":
      return publish(Number(command["count"]), Number(command["bytes"]), Number(command["window"]));
    case "consume":
      return consume(Number(command["count"]), Number(command["prefetch"]));
    case "clean": {
      const channel = await (await open()).createChannel();
      await channel.deleteQueue(queue);
      await channel.close();
      return {};
    }
    default:
      throw new Error(`unknown command ${command.do}`);
  }
});
