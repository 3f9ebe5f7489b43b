/** Every name that Warren gives to an object in the broker. Names carry no secrets; another shape is another name. */

/** Direct exchange of jobs; the routing key is the queue's short name. */
export const jobsExchange = "warren.jobs";
/** Topic exchange of dead letters; the routing key is the short name of the queue they come from. */
export const deadExchange = "warren.dead";
/** Fanout exchange, and the queue behind it, for what no queue took. Must stay empty. */
export const unroutableExchange = "warren.unroutable";
export const unroutableQueue = "warren.unroutable";

/** Fanout exchange of hints to every process: look into the ledger now. */
export const controlExchange = "warren.control";
/** Topic exchange of what jobs do, published only while somebody watches; the routing key is `<queue>.<job id>`. */
export const activityExchange = "warren.activity";

/** Topic exchange of events; the routing key is the event's type. */
export const eventsExchange = "warren.events";
/** Topic exchange in front of the retry ladder; the routing key is `<rung>.<service>.<subscription>`. */
export const retryExchange = "warren.retry";
/** Topic exchange behind the retry ladder: each event goes back to the one subscription that its routing key names. */
export const retryBackExchange = "warren.retry.back";
/** Dead events of all subscriptions; the dispatcher takes them into the ledger. */
export const deadEventsQueue = "warren.dead.event.all";

const jobQueuePrefix = "warren.jobs.";
const deadQueuePrefix = "warren.dead.";
const eventQueuePrefix = "warren.events.";
const retryQueuePrefix = "warren.retry.";
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

/** The broker's queue of one subscription of one service. */
export function eventQueue(service: string, subscription: string): string {
  return `${eventQueuePrefix}${checked(service)}.${checked(subscription)}`;
}

/** One rung of the retry ladder, as names and routing keys spell it: `250ms`, `5s`, `2m`, `1h`. */
export function rungName(delayMs: number): string {
  if (!Number.isInteger(delayMs) || delayMs < 1)
    throw new RangeError(`rung of ${delayMs} ms: whole milliseconds from 1`);
  if (delayMs % 3_600_000 === 0) return `${delayMs / 3_600_000}h`;
  if (delayMs % 60_000 === 0) return `${delayMs / 60_000}m`;
  return delayMs % 1_000 === 0 ? `${delayMs / 1_000}s` : `${delayMs}ms`;
}

/** The queue in which events of all subscriptions wait for `delayMs`. */
export function retryQueue(delayMs: number): string {
  return retryQueuePrefix + rungName(delayMs);
}

/** Where the messages of a queue wait while `topology migrate` makes it anew. */
export function holdingQueue(brokerQueue: string): string {
  return brokerQueue + holdingSuffix;
}

/** The Warren queue that a broker queue of jobs or dead letters belongs to; `undefined` for foreign queues. */
export function queueOf(brokerQueue: string): string | undefined {
  for (const prefix of [jobQueuePrefix, deadQueuePrefix]) {
    const name = brokerQueue.startsWith(prefix) ? brokerQueue.slice(prefix.length) : "";
    if (shortName.test(name)) return name;
  }
  return undefined;
}

/** The subscription that a broker queue of events belongs to; `undefined` for other queues. */
export function subscriptionOf(brokerQueue: string): { readonly service: string; readonly name: string } | undefined {
  if (!brokerQueue.startsWith(eventQueuePrefix)) return undefined;
  const [service = "", name = "", ...more] = brokerQueue.slice(eventQueuePrefix.length).split(".");
  return shortName.test(service) && shortName.test(name) && more.length === 0 ? { service, name } : undefined;
}

function checked(queue: string): string {
  if (!shortName.test(queue)) {
    throw new RangeError(`queue name ${JSON.stringify(queue)}: letters, digits, "-" and "_", at most 100`);
  }
  return queue;
}
