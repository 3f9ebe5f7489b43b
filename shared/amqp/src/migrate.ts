import type { Channel } from "amqplib";
import { declareBinding, declareQueue, declareTopology } from "./declare.ts";
import { AmqpError, replyCode, TopologyMismatchError } from "./errors.ts";
import { moveMessages } from "./move.ts";
import { holdingQueue } from "./names.ts";
import type { AmqpSession } from "./session.ts";
import type { Binding, Queue, Topology } from "./topology.ts";

export type MigrationStep = "held" | "emptied" | "deleted" | "remade" | "refilled";

export interface MigrateQueueOptions {
  readonly session: Pick<AmqpSession, "withChannel" | "withConfirmChannel" | "depth">;
  /** What should be; the queue and its bindings are taken from here. */
  readonly topology: Topology;
  /** The broker's name of the queue. */
  readonly queue: string;
  readonly onStep?: ((step: MigrationStep) => void) | undefined;
}

export interface MigrationResult {
  /** `unchanged`: it was as declared, and nothing was left of an earlier run. `created`: it did not exist. */
  readonly outcome: "unchanged" | "created" | "migrated";
  /** Messages put into the new queue. */
  readonly moved: number;
  /** Copies of a message id that a crash or the switch of bindings had doubled, dropped. */
  readonly duplicates: number;
}

/**
 * Makes a queue anew with the declared arguments and keeps its messages: a holding queue takes over the bindings, the messages are moved
 * there with confirms, the old queue is deleted and declared anew, and the messages are moved back. Where it was interrupted
 * follows from which queues exist, so running it again resumes. It refuses while consumers are attached (`AMQP_QUEUE_IN_USE`):
 * they hold messages that cannot be moved, and would declare the old shape again.
 *
 * Nothing is lost at any point: a message is acked at its old place after the confirm of its new one, and bindings overlap. So a
 * message may be there twice; copies are dropped by message id as far as one run sees them, and consumers dedupe the rest.
 */
export async function migrateQueue(options: MigrateQueueOptions): Promise<MigrationResult> {
  const { session, topology, onStep = () => undefined } = options;
  const queue = topology.queues.find(({ name }) => name === options.queue);
  if (queue === undefined) {
    const known = topology.queues.map(({ name }) => name).join(", ");
    throw new AmqpError("AMQP_OPTION_INVALID", `queue ${options.queue} is not in the topology; it has ${known}`);
  }
  const bindings = topology.bindings.filter((binding) => binding.queue === queue.name);
  const holding: Queue = { name: holdingQueue(queue.name), arguments: { "x-queue-type": "quorum" } };
  const held = bindings.map((binding) => ({ ...binding, queue: holding.name }));

  await session.withChannel((channel) =>
    declareTopology(channel, { exchanges: topology.exchanges, queues: [], bindings: [] }),
  );
  const shape = await shapeOf(session, queue);
  const resumed = (await session.depth(holding.name)) !== undefined;
  if (!resumed && shape === "ok") return { outcome: "unchanged", moved: 0, duplicates: 0 };
  if (!resumed && shape === "missing") {
    await session.withChannel((channel) => make(channel, queue, bindings));
    return { outcome: "created", moved: 0, duplicates: 0 };
  }

  await refuseInUse(session, queue.name);
  let duplicates = 0;
  if (shape === "drift") {
    await session.withChannel(async (channel) => {
      await make(channel, holding, held);
      await unbind(channel, bindings);
    });
    onStep("held");
    duplicates += (await moveMessages(session, { from: queue.name, to: holding.name })).duplicates;
    onStep("emptied");
    await refuseInUse(session, queue.name);
    await session.withChannel((channel) => channel.deleteQueue(queue.name));
    onStep("deleted");
  }
  await session.withChannel(async (channel) => {
    await make(channel, queue, bindings);
    await unbind(channel, held);
  });
  onStep("remade");
  const back = await moveMessages(session, { from: holding.name, to: queue.name });
  await session.withChannel((channel) => channel.deleteQueue(holding.name));
  onStep("refilled");
  return { outcome: "migrated", moved: back.moved, duplicates: duplicates + back.duplicates };
}

async function shapeOf(session: Pick<AmqpSession, "withChannel">, queue: Queue): Promise<"ok" | "missing" | "drift"> {
  try {
    await session.withChannel((channel) => channel.checkQueue(queue.name));
    await session.withChannel((channel) => declareQueue(channel, queue));
    return "ok";
  } catch (error) {
    if (replyCode(error) === 404) return "missing";
    if (error instanceof TopologyMismatchError) return "drift";
    throw error;
  }
}

async function make(channel: Channel, queue: Queue, bindings: readonly Binding[]): Promise<void> {
  await declareQueue(channel, queue);
  for (const binding of bindings) await declareBinding(channel, binding);
}

/** Unbinding what is not bound is no error in RabbitMQ. */
async function unbind(channel: Channel, bindings: readonly Binding[]): Promise<void> {
  for (const { queue, exchange, routingKey } of bindings) await channel.unbindQueue(queue, exchange, routingKey);
}

async function refuseInUse(session: Pick<AmqpSession, "depth">, queue: string): Promise<void> {
  const depth = await session.depth(queue);
  if (depth === undefined || depth.consumers === 0) return;
  throw new AmqpError(
    "AMQP_QUEUE_IN_USE",
    `queue ${queue} has ${depth.consumers} consumer(s). Stop the workers of this queue, then run the migration again`,
    { details: { queue, consumers: depth.consumers } },
  );
}
