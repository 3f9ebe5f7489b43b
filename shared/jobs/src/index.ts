export type { BackoffOption, CustomBackoff, Failure } from "./backoff.ts";
export { reportBreakersTo } from "./breakers.ts";
export { confirmSnsSubscription } from "./builtin/confirm-sns-subscription.ts";
export { confirmYookassaPayment } from "./builtin/confirm-yookassa.ts";
export { deliverWebhook, publishWebhook, webhookRetryDelayMs } from "./builtin/deliver-webhook.ts";
export { endpointDisabled } from "./builtin/endpoint-disabled.ts";
export { sendTemplateEmail } from "./builtin/send-template.ts";
export type { Bulk, BulkOptions } from "./control/bulk.ts";
export { type Control, type ControlOptions, createControl, type JobDetail } from "./control/control.ts";
export { hintCancels } from "./control/control-channel.ts";
export type { FlowControl } from "./control/flows.ts";
export type {
  CancelOptions,
  DiscardOptions,
  LineOptions,
  ListOptions,
  RetryOptions,
  WaitOptions,
  WatchOptions,
} from "./control/schemas.ts";
export type { JobEvent } from "./control/watch.ts";
export {
  defineJob,
  type JobDefinition,
  type JobDefinitionOptions,
  type ParsedPayloadOf,
  type PayloadOf,
  type ResultOf,
} from "./define.ts";
export { type Client, type ClientOptions, createClient, type EnqueueItem } from "./enqueue/client.ts";
export { type EnqueueOptions, type PrepareOptions, prepare } from "./enqueue/draft.ts";
export {
  type DrizzleSql,
  type DrizzleTransaction,
  fromDrizzle,
  fromKnex,
  fromKysely,
  fromPg,
  fromPostgresJs,
  fromPrisma,
  type KnexTransaction,
  type KyselyTransaction,
  type PgTransaction,
  type PostgresJsTransaction,
  type PrismaTransaction,
} from "./enqueue/transactions.ts";
export { type Enqueued } from "./enqueue/writer.ts";
export {
  type AbortCode,
  JobAbortedError,
  JobDataError,
  JobError,
  JobOptionError,
  NonRetryableError,
  type NonRetryableOptions,
  snooze,
} from "./errors.ts";
export {
  defineEvent,
  type EventDataOf,
  type EventDefinition,
  type EventDefinitionOptions,
  matchesPattern,
} from "./events/define.ts";
export type { Event, EventOf } from "./events/event.ts";
export {
  type ComposeParts,
  type Publish,
  type Published,
  type PublishOptions,
  prepareEvent,
} from "./events/publish.ts";
export {
  type Replayed,
  type ReplayFilter,
  type ReplayOptions,
  type ReplayParts,
  replayEvents,
} from "./events/replay.ts";
export { type PatternOptions, type Subscription, type SubscriptionOptions, subscribe } from "./events/subscribe.ts";
export { createSubscriber, type Subscriber, type SubscriberOptions, topologyOf } from "./events/subscriber.ts";
export {
  type After,
  chain,
  chord,
  defineFlow,
  type FlowBuilder,
  type FlowOptions,
  group,
  type NodeOptions,
  type NodeRef,
  type Step,
  type StepOptions,
  step,
} from "./flows/define-flow.ts";
export { FlowError } from "./flows/errors.ts";
export type { AddOptions, FlowOutcome, JobFlow, ParsedResultOf } from "./flows/job-flow.ts";
export type { Flow, PlannedNode } from "./flows/plan.ts";
export { compensates, type FlowEndPayload, flowEnd, type Undo } from "./flows/schemas.ts";
export type { StartedFlow, StartFlowOptions } from "./flows/start.ts";
export { type HandleOptions, handle, type JobHandler } from "./handle.ts";
export { type BatchOptions, type BatchResult, failed, handleBatch, succeeded } from "./handle-batch.ts";
export type { Job } from "./job.ts";
export {
  createLimits,
  type KeyLimitOptions,
  type PauseOptions,
  type QueueControl,
  type QueueLimitOptions,
} from "./limits.ts";
export { parseOptions } from "./options.ts";
export {
  createOutboundDeliveries,
  type OutboundDeliveries,
  type OutboundDeliveriesOptions,
} from "./outbound/deliveries.ts";
export {
  type CreatedEndpoint,
  createEndpoints,
  type Endpoint,
  type Endpoints,
  type EndpointsOptions,
  type OpenEndpoint,
} from "./outbound/endpoints.ts";
export { EndpointError, type EndpointErrorCode } from "./outbound/errors.ts";
export type { SigningKey } from "./outbound/secrets.ts";
export { createPayloadStore, type PayloadStoreOptions } from "./payloads/create-store.ts";
export { PayloadError, type PayloadErrorCode } from "./payloads/errors.ts";
export { createKeyRing, type KeyRing, type KeyRingOptions, parseKeyRing } from "./payloads/key-ring.ts";
export { openPayload, openResult, type StoredPayload, sealPayload } from "./payloads/payload.ts";
export { type Rotated, type RotateOptions, rotatePayloads } from "./payloads/rotate.ts";
export { rotateSealedTexts } from "./payloads/rotate-texts.ts";
export type { Payloads } from "./payloads/seal.ts";
export { openText, sealText } from "./payloads/sealed-text.ts";
export type { Attributes, SearchOption } from "./payloads/search.ts";
export { openPayloads, payloadSettings } from "./payloads/settings.ts";
export type { ObjectPage, PayloadStore, StoredObject } from "./payloads/store.ts";
export { type SweepOptions, type Swept, sweepPayloads } from "./payloads/sweep.ts";
export type { Placeholder } from "./payloads/view.ts";
export { viewJob } from "./payloads/view.ts";
export type { RateOption } from "./rate.ts";
export type { DelayedClient, ScheduleClient } from "./schedules/client.ts";
export { defineSchedule, type ScheduleDefinition, type ScheduleOptions } from "./schedules/define.ts";
export { type RegisterSchedulesOptions, registerSchedules } from "./schedules/register.ts";
export { handleInThread, type ThreadOptions } from "./threads/handle-in-thread.ts";
export type { ThreadHandler, ThreadJob, ThreadLog } from "./threads/thread-job.ts";
export type { DefinedUniqueOptions, UniqueOptions } from "./unique.ts";
export {
  createUpcast,
  type Upcast,
  UpcastError,
  type Upcaster,
  type Upcasters,
  type UpcastOptions,
  upcastFrom,
} from "./upcast.ts";
export type { RecycleReason } from "./worker/recycle.ts";
export { createWorker, type Worker, type WorkerState } from "./worker/worker.ts";
export type { AutoscaleOptions, RecycleOptions } from "./worker/worker-options.ts";
export type { WorkerOptions } from "./worker/worker-parts.ts";
