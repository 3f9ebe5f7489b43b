/** Every name that Warren gives to an object in the broker. Names carry no secrets; another shape is another name. */

/** Direct exchange of jobs; the routing key is the queue's short name. */
export const jobsExchange = "warren.jobs";
/** Topic exchange of dead letters; the routing key is the short name of the queue they come from. */
export const deadExchange = "warren.dead";
/** Fanout exchange, and the queue behind it, for what no queue took. Must stay empty. */
export const unroutableExchange = "warren.unroutable";
export const unroutableQueue = "warren.unroutable";

const jobQueuePrefix = "warren.jobs.";
const deadQueuePrefix = "warren.dead.";
const holdingSuffix = ".migrating";
const shortName = /^[a-z0-9][a-z0-9_-]{0,99}$/i;

/** The broker's queue of jobs of one Warren queue. */
export function jobQueue(queue: string): string {
  return jobQueuePrefix + checked(queue);
}

/** The broker's queue of dead letters of one Warren queue. */
export function deadQueue(queue: string): string {
  return deadQueuePrefix + checked(queue);
}

/** Where the messages of a queue wait while `topology migrate` makes it anew. */
export function holdingQueue(brokerQueue: string): string {
  return brokerQueue + holdingSuffix;
}

/** The Warren queue that a broker queue of jobs or dead letters belongs to; `undefined` for foreign queues. */
export function queueOf(brokerQueue: string): string | undefined {
  for (const prefix of [jobQueuePrefix, deadQueuePrefix]) {
    if (brokerQueue.startsWith(prefix) && !brokerQueue.endsWith(holdingSuffix)) return brokerQueue.slice(prefix.length);
  }
  return undefined;
}

function checked(queue: string): string {
  if (!shortName.test(queue)) {
    throw new RangeError(`queue name ${JSON.stringify(queue)}: letters, digits, "-" and "_", at most 100`);
  }
  return queue;
}
