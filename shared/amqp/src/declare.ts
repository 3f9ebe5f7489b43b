import type { Channel } from "amqplib";
import { AmqpError, replyCode, type TopologyMismatch, TopologyMismatchError } from "./errors.ts";
import type { Binding, Exchange, ExchangeBinding, Queue, Topology } from "./topology.ts";

type DeclareChannel = Pick<Channel, "assertExchange" | "assertQueue" | "bindQueue" | "bindExchange">;

/**
 * Asserts everything in the topology, exchanges first. A difference in arguments (406) is a `TopologyMismatchError`, another refusal
 * by the broker `AMQP_DECLARE_FAILED`; a lost channel rejects with amqplib's own error. The channel is unusable after a failure.
 */
export async function declareTopology(channel: DeclareChannel, topology: Topology): Promise<void> {
  for (const exchange of topology.exchanges) await declareExchange(channel, exchange);
  for (const queue of topology.queues) await declareQueue(channel, queue);
  for (const binding of topology.bindings) await declareBinding(channel, binding);
  for (const binding of topology.exchangeBindings ?? []) await declareExchangeBinding(channel, binding);
}

export async function declareExchange(channel: Pick<Channel, "assertExchange">, exchange: Exchange): Promise<void> {
  try {
    await channel.assertExchange(exchange.name, exchange.type, { durable: true, arguments: { ...exchange.arguments } });
  } catch (error) {
    throw explained(error, "exchange", exchange.name);
  }
}

export async function declareQueue(channel: Pick<Channel, "assertQueue">, queue: Queue): Promise<void> {
  try {
    await channel.assertQueue(queue.name, { durable: true, arguments: { ...queue.arguments } });
  } catch (error) {
    throw explained(error, "queue", queue.name);
  }
}

export async function declareBinding(channel: Pick<Channel, "bindQueue">, binding: Binding): Promise<void> {
  try {
    await channel.bindQueue(binding.queue, binding.exchange, binding.routingKey);
  } catch (error) {
    throw explained(error, "binding", `${binding.exchange} → ${binding.queue}`);
  }
}

async function declareExchangeBinding(
  channel: Pick<Channel, "bindExchange">,
  { exchange, toExchange, routingKey }: ExchangeBinding,
): Promise<void> {
  try {
    await channel.bindExchange(toExchange, exchange, routingKey);
  } catch (error) {
    throw explained(error, "binding", `${exchange} → ${toExchange}`);
  }
}

function explained(error: unknown, object: "exchange" | "queue" | "binding", name: string): unknown {
  const code = replyCode(error);
  if (code === undefined || !(error instanceof Error)) return error;
  if (code === 406 && object !== "binding") {
    return new TopologyMismatchError({ object, name, ...parseDifference(error.message) }, error);
  }
  // 320 and 541 speak of the connection or the broker, not of what was asked.
  if (code === 320 || code === 541) return error;
  return new AmqpError("AMQP_DECLARE_FAILED", `the broker refused to declare ${object} ${name}: ${error.message}`, {
    details: { object, name, replyCode: code },
    cause: error,
  });
}

const difference =
  /inequivalent arg '(?<argument>[^']+)' for (?:queue|exchange) '.*' in vhost '.*': received (?<received>.+?) but current is (?<current>.+?)"?$/;
const quoted = /'(?<value>[^']*)'/;

/**
 * Reads the broker's reply text, of 3.10 to 4.x: `inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': received the value
 * '5' of type 'signedint' but current is none`. Text it does not know gives an empty answer, never a wrong one.
 */
export function parseDifference(replyText: string): Pick<TopologyMismatch, "argument" | "declared" | "actual"> {
  const groups = difference.exec(replyText)?.groups;
  if (groups === undefined) return {};
  return { argument: groups["argument"], declared: plain(groups["received"]), actual: plain(groups["current"]) };
}

function plain(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return quoted.exec(text)?.groups?.["value"] ?? text;
}
