import { randomUUID } from "node:crypto";
import { type AmqpSession, controlExchange, controlTopology, type Listener, type Publisher } from "@warren/amqp";
import { type ControlMessage, controlMessage, maxIdsPerControlMessage } from "@warren/contracts";
import { type CancelAnswer } from "@warren/ledger";
import type { Logger } from "@warren/observability";

/** What a process does when it hears of a change. Each reads the ledger; none trusts the message. */
interface ControlHandlers {
  /** It listens, for the first time or again: whatever was said before may have been missed. */
  readonly listening?: () => void;
  /** Somebody wants running jobs of these workers cancelled. */
  readonly cancel?: (workers: readonly string[]) => void;
  /** Somebody watches what jobs do, or has stopped. */
  readonly watch?: () => void;
  /** Policies of these queues have changed. */
  readonly queues?: (queues: readonly string[]) => void;
}

export interface ControlChannelOptions {
  readonly session: Pick<AmqpSession, "listen" | "declare">;
  readonly handlers: ControlHandlers;
  readonly log: Logger;
}

/**
 * Listens for hints (`warren.control`). Opens at once and in the background: a process runs without it as well, and only learns later. A
 * message that cannot be read is ignored: a newer version may have sent it.
 */
export function openControlChannel({ session, handlers, log }: ControlChannelOptions): Listener {
  session.declare(controlTopology).catch((error: unknown) => {
    log.error({ err: error }, "the control exchange cannot be declared; changes are heard at the next heartbeat");
  });
  return session.listen({
    name: controlExchange,
    bindings: [{ exchange: controlExchange, routingKey: "" }],
    onListening: handlers.listening,
    onMessage({ body }) {
      const message = readControlMessage(body);
      if (message === undefined) {
        log.debug({ bytes: body.length }, "a control message that cannot be read");
        return;
      }
      if (message.cancel !== undefined) handlers.cancel?.(message.workers ?? []);
      if (message.watch === true) handlers.watch?.();
      if (message.queues !== undefined) handlers.queues?.(message.queues);
    },
  });
}

function readControlMessage(body: Buffer): ControlMessage | undefined {
  try {
    const parsed = controlMessage.safeParse(JSON.parse(body.toString()));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Short: who does not hear of it in time reads it in the ledger. */
const deadlineMs = 2_000;

/** Tells every process to look into the ledger. Never rejects: a lost hint is only a delay. */
export async function sendHint(
  publisher: Pick<Publisher, "publish"> | undefined,
  hint: Omit<ControlMessage, "v">,
  log: Logger,
): Promise<void> {
  if (publisher === undefined) return;
  try {
    await publisher.publish({
      exchange: controlExchange,
      routingKey: "",
      body: Buffer.from(JSON.stringify({ v: 1, ...hint })),
      messageId: randomUUID(),
      transient: true,
      deadlineMs,
      onUnrouted: () => undefined,
    });
  } catch (error) {
    log.warn({ err: error }, "processes were not told of a change; they find it at their next heartbeat");
  }
}

/** Tells the workers of jobs that were asked to stop. Never rejects. */
export async function hintCancels(
  publisher: Pick<Publisher, "publish"> | undefined,
  answers: readonly CancelAnswer[],
  log: Logger,
): Promise<void> {
  const asked = answers.filter((answer) => answer.kind === "requested");
  for (let from = 0; from < asked.length; from += maxIdsPerControlMessage) {
    const some = asked.slice(from, from + maxIdsPerControlMessage);
    const workers = [...new Set(some.map(({ workerId }) => workerId))];
    await sendHint(publisher, { cancel: some.map(({ id }) => id), workers }, log);
  }
}
