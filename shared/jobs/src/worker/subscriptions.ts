import { type AmqpSession, type Consumer, type Delivery, jobQueue } from "@warren/amqp";

export interface SubscriptionsOptions {
  readonly session: Pick<AmqpSession, "consume">;
  readonly onMessage: (queue: string, delivery: Delivery) => void;
}

/** The worker's consumers, one a queue. */
export interface Subscriptions extends AsyncDisposable {
  open(queue: string, window: number): Promise<void>;
  /**
   * So many unclaimed messages of the queue from now on; 0: no more come. Closing is written to the socket in this turn of the event
   * loop, so acks of the same turn do not bring further messages.
   */
  want(queue: string, window: number): void;
  /** Resolves when the broker has agreed to what is wanted now, or does not answer. */
  settled(): Promise<void>;
  /** Subscribes anew, for a subscription that the broker seems to have forgotten. */
  renew(queue: string): void;
}

/** One queue's consumer: the window it has, and the one it shall have. */
interface Tap {
  readonly consumer: Consumer;
  window: number;
  wanted: number;
  stale: boolean;
  work: Promise<void> | undefined;
}

export function createSubscriptions({ session, onMessage }: SubscriptionsOptions): Subscriptions {
  const taps = new Map<string, Tap>();

  /** One change at a time; what is wanted may change meanwhile. */
  async function reconcile(tap: Tap): Promise<void> {
    while (tap.window !== tap.wanted || tap.stale) {
      const window = tap.wanted;
      tap.stale = false;
      if (tap.window !== 0) await tap.consumer.quiet();
      if (window !== 0) await tap.consumer.resume({ prefetch: window });
      tap.window = window;
    }
  }

  function kick(tap: Tap): void {
    if (tap.work !== undefined || (tap.window === tap.wanted && !tap.stale)) return;
    tap.work = reconcile(tap).finally(() => {
      tap.work = undefined;
    });
  }

  return {
    async open(queue, window) {
      const consumer = await session.consume({
        queue: jobQueue(queue),
        prefetch: window,
        onMessage: (delivery) => onMessage(queue, delivery),
      });
      taps.set(queue, { consumer, window, wanted: window, stale: false, work: undefined });
    },
    want(queue, window) {
      const tap = taps.get(queue);
      if (tap === undefined) return;
      tap.wanted = window;
      kick(tap);
    },
    async settled() {
      await Promise.all([...taps.values()].map(async ({ work }) => work));
    },
    renew(queue) {
      const tap = taps.get(queue);
      if (tap === undefined) return;
      tap.stale = true;
      kick(tap);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...taps.values()].map(({ consumer }) => consumer[Symbol.asyncDispose]()));
    },
  };
}
