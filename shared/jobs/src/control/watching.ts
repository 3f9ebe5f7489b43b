import { randomUUID } from "node:crypto";
import {
  type AmqpSession,
  activityExchange,
  type BroadcastBinding,
  controlTopology,
  type Listener,
} from "@warren/amqp";
import { type ActivityMessage, activityMessage } from "@warren/contracts";
import type { Ledger, Watch } from "@warren/ledger";
import type { Logger } from "@warren/observability";

/** Hears what jobs do, while anybody asks. */
export interface Watching extends AsyncDisposable {
  /** Calls back for each message that fits. Workers hear of it at once, or at their next heartbeat. */
  open(watch: Watch, onMessage: (message: ActivityMessage) => void): Promise<AsyncDisposable>;
}

export interface WatchingOptions {
  readonly ledger: Pick<Ledger, "control">;
  readonly session: Pick<AmqpSession, "listen" | "declare">;
  /** Tells workers to look who watches. Never rejects. */
  readonly hint: () => Promise<void>;
  readonly log: Logger;
}

/** A watcher that is killed is told of for so long. */
const ttlMs = 30_000;
const renewEveryMs = 10_000;

export function createWatching({ ledger, session, hint, log }: WatchingOptions): Watching {
  const { watches } = ledger.control;
  const open = new Map<string, { readonly watch: Watch; readonly onMessage: (message: ActivityMessage) => void }>();
  let listener: Listener | undefined;
  let renewing: NodeJS.Timeout | undefined;

  function listen(): Listener {
    session.declare(controlTopology).catch((error: unknown) => {
      log.warn({ err: error }, "the exchange of activity cannot be declared; the ledger is asked instead");
    });
    return session.listen({
      name: activityExchange,
      bindings: [],
      onMessage({ body }) {
        const message = read(body);
        if (message === undefined) return;
        for (const { watch, onMessage } of open.values()) if (fits(watch, message)) onMessage(message);
      },
    });
  }

  async function renew(): Promise<void> {
    try {
      await Promise.all([...open].map(([id, { watch }]) => watches.keep(id, watch, ttlMs)));
    } catch (error) {
      log.warn({ err: error }, "watches not renewed; trying again");
    }
  }

  async function close(id: string, binding: BroadcastBinding): Promise<void> {
    const own = open.get(id);
    if (own === undefined) return;
    open.delete(id);
    if (open.size === 0) {
      clearInterval(renewing);
      renewing = undefined;
    }
    const isShared = [...open.values()].some(({ watch }) => keyOf(watch) === binding.routingKey);
    if (!isShared) await listener?.unbind(binding);
    try {
      await watches.close(id);
      await hint();
    } catch (error) {
      log.warn({ err: error }, "a watch is left to expire");
    }
  }

  return {
    async open(watch, onMessage) {
      listener ??= listen();
      const id = randomUUID();
      const binding = { exchange: activityExchange, routingKey: keyOf(watch) };
      open.set(id, { watch, onMessage });
      await listener.bind(binding);
      await watches.keep(id, watch, ttlMs);
      renewing ??= setInterval(() => void renew(), renewEveryMs).unref();
      await hint();
      return { [Symbol.asyncDispose]: () => close(id, binding) };
    },
    async [Symbol.asyncDispose]() {
      clearInterval(renewing);
      for (const [id, { watch }] of open) await close(id, { exchange: activityExchange, routingKey: keyOf(watch) });
      await listener?.[Symbol.asyncDispose]();
    },
  };
}

function keyOf({ queue, jobId }: Watch): string {
  return jobId === undefined && queue === undefined ? "#" : `${queue ?? "*"}.${jobId ?? "*"}`;
}

function fits({ queue, jobId }: Watch, message: ActivityMessage): boolean {
  return (queue === undefined || queue === message.queue) && (jobId === undefined || jobId === message.id);
}

function read(body: Buffer): ActivityMessage | undefined {
  try {
    const parsed = activityMessage.safeParse(JSON.parse(body.toString()));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
