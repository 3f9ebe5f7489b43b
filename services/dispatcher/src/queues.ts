import { type AmqpSession, jobsTopology } from "@warren/amqp";

/** The queues that this dispatcher knows, and has declared in the broker. */
export interface KnownQueues {
  /** Declares those that are new, again on every reconnect. One that cannot be declared stops no other; the first such error is thrown. */
  learn(queues: readonly string[]): Promise<void>;
  readonly names: readonly string[];
}

/** `onNew` is called once for each queue, after its declaration. */
export function createKnownQueues(
  session: Pick<AmqpSession, "declare">,
  onNew: (queue: string) => Promise<void>,
): KnownQueues {
  const known = new Map<string, Promise<void>>();

  async function add(queue: string): Promise<void> {
    await session.declare(jobsTopology({ queues: [queue] }));
    await onNew(queue);
  }

  function learnOne(queue: string): Promise<void> {
    const earlier = known.get(queue);
    if (earlier !== undefined) return earlier;
    const adding = add(queue);
    known.set(queue, adding);
    adding.catch(() => known.delete(queue));
    return adding;
  }

  return {
    async learn(queues) {
      const added = await Promise.allSettled([...new Set(queues)].map(learnOne));
      const failed = added.find((one) => one.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    },
    get names() {
      return [...known.keys()];
    },
  };
}
