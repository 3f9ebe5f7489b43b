export type { BroadcastBinding, BroadcastMessage, Listener, ListenOptions } from "./broadcast.ts";
export type { ConnectionState } from "./connection.ts";
export type { ConsumeOptions, Consumer, ConsumerState } from "./consumer.ts";
export type { Delivery } from "./delivery.ts";
export {
  AmqpError,
  PublishError,
  type PublishErrorCode,
  type TopologyMismatch,
  TopologyMismatchError,
} from "./errors.ts";
export {
  deadEventKey,
  defaultLadderMs,
  type EventsTopologyOptions,
  eventsTopology,
  retryKey,
  type SubscriptionTopology,
} from "./events-topology.ts";
export type { AmqpLog } from "./log.ts";
export type { AmqpMetrics } from "./metrics.ts";
export { type MigrateQueueOptions, type MigrationResult, type MigrationStep, migrateQueue } from "./migrate.ts";
export {
  activityExchange,
  controlExchange,
  deadEventsQueue,
  deadExchange,
  deadQueue,
  eventQueue,
  eventsExchange,
  holdingQueue,
  jobQueue,
  jobsExchange,
  queueOf,
  retryBackExchange,
  retryExchange,
  retryQueue,
  subscriptionOf,
  unroutableExchange,
  unroutableQueue,
} from "./names.ts";
export type { OutgoingMessage } from "./outgoing.ts";
export { type PlanRow, planTopology } from "./plan.ts";
export type { Publisher, PublisherOptions } from "./publisher.ts";
export { type AmqpSession, openSession, type QueueDepth, type SessionOptions, type SessionState } from "./session.ts";
export {
  type Binding,
  controlTopology,
  defaultDeliveryLimit,
  type Exchange,
  type ExchangeBinding,
  type JobsTopologyOptions,
  jobsTopology,
  mergeTopologies,
  type Queue,
  type Topology,
} from "./topology.ts";
export type { TopologyState } from "./topology-keeper.ts";
