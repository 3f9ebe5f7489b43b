export type { ConfirmedClaims } from "./attempts/confirm-claims.ts";
export type { Outcome, Settled, Settlement } from "./attempts/outcome.ts";
export type { Breaker, BreakerReport, BreakerState } from "./breakers.ts";
export type { CacheStore } from "./cache.ts";
export type { Cancelled } from "./cancel.ts";
export type { RetryAnswer, RetryOrder } from "./control/bring-back.ts";
export type { BulkStep } from "./control/bulk.ts";
export type { BulkAction, BulkOperation, BulkState, NewBulk } from "./control/bulk-operation.ts";
export type { CancelAnswer } from "./control/cancel.ts";
export type { ControlLedger } from "./control/control.ts";
export type { DiscardAnswer } from "./control/discard.ts";
export type { JobFilter } from "./control/job-filter.ts";
export type { JobCounts, ListedJobs, ListJobs, StateCount } from "./control/list.ts";
export type { LineCursor, LinePage, NewLine, Progress, ProgressReport } from "./control/progress.ts";
export type { JobEnd } from "./control/results.ts";
export type { Watch } from "./control/watches.ts";
export type { DeadLetter, RecordedDeadLetter } from "./dead-letters.ts";
export type { Delayed, WaitingFilter } from "./delayed.ts";
export {
  type BeginVerdict,
  createDeliveries,
  type Deliveries,
  type DeliveryOutcome,
  type DeliveryRecord,
  type DeliverySettled,
  type DeliverySettlement,
  type NewDelivery,
  type UnknownPolicy,
} from "./deliveries/deliveries.ts";
export { type KeyHolder, meet } from "./enqueue/unique-conflict.ts";
export {
  FencedError,
  LedgerConflictError,
  LedgerDataError,
  LedgerError,
  LedgerSchemaError,
  LedgerSettingError,
  LedgerStatementError,
  LedgerUnavailableError,
  mayBeOneItem,
  NotWaitingError,
  WorkerEndedError,
} from "./errors.ts";
export type { EventLedger } from "./events/events.ts";
export type { EventInbox, InboxEntry } from "./events/inbox.ts";
export type { DeadEvent, DeadEventFilter, DeadEvents } from "./events/letters.ts";
export { type NewOutboxEvent, type Outbox, type OutboxEvent, outboxLeaseMs } from "./events/outbox.ts";
export type { JobPage, JobQuery } from "./find-jobs.ts";
export type {
  AddedNode,
  FailurePolicy,
  FlowCause,
  FlowEnd,
  FlowNode,
  FlowRecord,
  FlowState,
  JobTemplate,
  NewFlow,
  NewNode,
  NodeOutcome,
  NodeState,
  StartedFlow,
  UndoState,
} from "./flows/flow.ts";
export type { FlowCancelled, FlowRemoved, Flows, ReadyListener } from "./flows/flows.ts";
export { type Adder, FlowGrowError, type Grown, type Growth } from "./flows/grow.ts";
export type { FlowFilter, OutcomesOf } from "./flows/queries.ts";
export type { Revived, ReviveRefusal } from "./flows/retriable.ts";
export type { FinishedJob } from "./follow-ups.ts";
export type {
  ClaimedJob,
  ClaimedRareFields,
  Deduplicated,
  EnqueueResult,
  FinishedState,
  JobError,
  JobRecord,
  JobStart,
  JobState,
  NewJob,
  RareFields,
  RecordedError,
  SendableJob,
  UnfinishedState,
  Uniqueness,
} from "./job.ts";
export {
  defaultLeaseRule,
  type LeaseRule,
  type Observation,
  observe,
  type SeenBeat,
  type Watching,
} from "./leases/observe.ts";
export type { Beat, Expired } from "./leases/rescue.ts";
export type { BeatAnswer, CancelRequest, HeldAttempt, LivingWorker, NewWorker } from "./leases/workers.ts";
export type { Ledger } from "./ledger.ts";
export { afterStarts, type Bucket, type Rate, type Starts, wholeTokens } from "./limits/bucket.ts";
export type { Limits, PriorityChanged, WaitingLine } from "./limits/limits.ts";
export { mostPausedKeys, type PauseScope } from "./limits/policies.ts";
export type { KeyLimits, KeyPolicy, PolicyChange, QueueLimits, QueuePolicy } from "./limits/policy.ts";
export type { Round, WaitingQueue } from "./limits/turns.ts";
export type { LedgerLog, LedgerMetrics } from "./log.ts";
export { newId } from "./new-id.ts";
export { type OpenLedgerOptions, openLedger } from "./open-ledger.ts";
export {
  type AttemptReport,
  type BegunAttempt,
  createWebhookDeliveries,
  type EndpointFailure,
  type WebhookDeliveryStore,
} from "./outbound/deliveries.ts";
export type {
  DeliveryFilter,
  NewWebhookDelivery,
  WebhookAttemptRecord,
  WebhookDeliveryRecord,
  WebhookDeliveryState,
} from "./outbound/delivery-records.ts";
export {
  createEndpointStore,
  type EndpointContent,
  type EndpointRecord,
  type EndpointSecretRecord,
  type EndpointStore,
  type NewEndpointSecret,
  type SecretKind,
} from "./outbound/endpoints.ts";
export type { Maintained, RetentionPolicy } from "./partitions.ts";
export type { NamedObject, PayloadRecords, Resealed, SealedJob, SweepTurn } from "./payloads.ts";
export { type Batcher, type BatcherOptions, createBatcher } from "./postgres/batcher.ts";
export { type MigrateOptions, type MigrateResult, migrate } from "./postgres/migrations.ts";
export { parseSchemaName, type RunSql, type Statement, type TableName, tablesOf } from "./postgres/sql.ts";
export type { SentJob } from "./release.ts";
export {
  createRerouting,
  type MarkedFilter,
  type Rerouted,
  type Rerouting,
  type RoutableRequest,
} from "./routing/reroute.ts";
export {
  createRoutingRules,
  mostRules,
  type NewRuleRecord,
  type RoutingRules,
  type RuleRecord,
  type RuleRefusal,
} from "./routing/rules.ts";
export { ScheduleError } from "./schedules/errors.ts";
export type { Fired, FiredRound, FireRequest } from "./schedules/fire.ts";
export { type Misfire, type Overlap } from "./schedules/plan.ts";
export { previewFirings } from "./schedules/preview.ts";
export {
  type NewSchedule,
  occurrencePrefix,
  type Schedule,
  type ScheduledJob,
  type ScheduleOrigin,
  scheduledFor,
} from "./schedules/schedule.ts";
export type { Registered, Schedules } from "./schedules/schedules.ts";
export type { Upserted } from "./schedules/store.ts";
export { parseWhen, type WhenOption, whenText } from "./schedules/when.ts";
export { createSealedTexts, type SealedText, type SealedTexts } from "./sealed-texts.ts";
export type { EventValues, Judgement, JudgeRequest } from "./webhooks/accept-late.ts";
export type { BodyCondition } from "./webhooks/body-path.ts";
export { dedupeRetentionDays } from "./webhooks/dedupe.ts";
export type { EventJob, EventStanding } from "./webhooks/event-states.ts";
export type { Routed } from "./webhooks/missing.ts";
export type { EventRecord, EventRun, RequestSummary, StoredRequest } from "./webhooks/records.ts";
export type { ReplayStep } from "./webhooks/replay-step.ts";
export {
  createReplaying,
  type NewReplay,
  type ReplayCount,
  type Replaying,
  type ReplayingOptions,
} from "./webhooks/replaying.ts";
export type { Replay, ReplayAction, ReplayState } from "./webhooks/replays.ts";
export { type EventState, eventStates, type RequestFilter } from "./webhooks/request-filter.ts";
export {
  createRequestRecords,
  type EventPage,
  type RequestPage,
  type RequestQuery,
  type RequestRecords,
} from "./webhooks/request-records.ts";
export type { KeptRoute, RouteOutcome, RoutingMarker } from "./webhooks/routed.ts";
export type { RouteEvent, RunAnswer, RunMode, RunOrder, SkipReason } from "./webhooks/run-events.ts";
export type { Looked, SearchBudget } from "./webhooks/search.ts";
export { createSourceLimits, type SourceLimits, type SourceRate } from "./webhooks/source-limits.ts";
export {
  createSourceStore,
  type NewSource,
  type NewSourceSecret,
  type SourceChange,
  type SourceRecord,
  type SourceSecretRecord,
  type SourceStore,
} from "./webhooks/sources.ts";
export {
  type Acceptance,
  type AcceptedJob,
  type AcceptedRequest,
  type AnsweredRequest,
  createWebhookStore,
  type ReceivedRequest,
  type RejectedRequest,
  type UneventfulRequest,
  type WebhookStore,
  type WebhookStoreOptions,
} from "./webhooks/store.ts";
