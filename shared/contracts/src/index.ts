export { type ActivityMessage, activityMessage } from "./activity-message.ts";
export { moment, pageOf, pageQuery } from "./api.ts";
export { type ApiKey, type ApiScope, apiScopes, opens, parseApiKey } from "./api-keys.ts";
export { type BodyConditionInput, bodyCondition, parseBodyCondition } from "./body-condition.ts";
export { type ControlMessage, controlMessage, maxIdsPerControlMessage } from "./control-message.ts";
export { type DeadJob, deadJob, deadJobType, deadJobTypes } from "./dead-job.ts";
export {
  type AttemptView,
  attemptView,
  type DeliveryView,
  deliveryDetail,
  deliveryState,
  deliveryView,
  newOutboundEvent,
} from "./deliveries-api.ts";
export {
  type EndpointSecrets,
  type EndpointSettings,
  type EndpointView,
  endpointChange,
  endpointRetry,
  endpointRetryAnswer,
  endpointRotation,
  endpointSecrets,
  endpointSettings,
  endpointTest,
  endpointTestAnswer,
  endpointView,
  endpointWithSecret,
  type NewEndpoint,
  newEndpoint,
  newEndpointSecret,
  reservedWebhookHeaders,
} from "./endpoints-api.ts";
export { type ErrorCode, errorCatalogue, WarrenError, type WarrenErrorOptions } from "./errors.ts";
export { type EventHeaders, eventHeaders, eventPattern, eventType } from "./event-message.ts";
export { type JobMessage, jobMessage, maxJobsPerMessage } from "./job-message.ts";
export { type JsonPathStep, jsonPath, parseJsonPath } from "./json-path.ts";
export { type Money, money, moneyFromStripe, sameMoney } from "./money.ts";
export { nearest } from "./nearest.ts";
export {
  emailAddress,
  type Recipient,
  recipient,
  type SendTemplatePayload,
  type SendTemplateResult,
  sendTemplate,
  sendTemplateJob,
  sendTemplatePayload,
  sendTemplateResult,
} from "./notifications.ts";
export {
  type DeliverWebhookPayload,
  type DeliverWebhookResult,
  deliverWebhookJob,
  deliverWebhookPayload,
  deliverWebhookResult,
  endpointBreaker,
  endpointDisabledEvent,
  outboundEventId,
  outboundEventPattern,
  outboundEventType,
  type PublishWebhookPayload,
  publishWebhookJob,
  publishWebhookPayload,
  publishWebhookResult,
} from "./outbound.ts";
export {
  type ConfirmYookassaPayload,
  type ConfirmYookassaResult,
  confirmYookassaJob,
  confirmYookassaPayload,
  confirmYookassaResult,
  type YookassaEvent,
  yookassaEvent,
} from "./payments.ts";
export { type Problem, problem, problemContentType } from "./problem.ts";
export {
  eventReplay,
  newReplay,
  replayCount,
  replayPage,
  replayQuery,
  replayTurn,
  replayView,
  requestVerify,
  runAnswer,
} from "./replays-api.ts";
export {
  dedupeSetting,
  eventQuery,
  lookedView,
  requestDetail,
  requestFilter,
  requestPage,
  requestQuery,
  requestView,
  sourceNamed,
  webhookEventDetail,
  webhookEventPage,
  webhookEventState,
  webhookEventView,
} from "./requests-api.ts";
export {
  type RerouteAnswer,
  type RuleTest,
  type RuleTestAnswer,
  reroute,
  rerouteAnswer,
  ruleTest,
  ruleTestAnswer,
} from "./routing-api.ts";
export { type RuleCondition, ruleCondition } from "./rule-condition.ts";
export {
  type NewRule,
  newRule,
  type Rule,
  type RuleChange,
  type RuleTarget,
  type RuleTransform,
  rule,
  ruleChange,
  ruleName,
  ruleTarget,
  ruleTransform,
  typePattern,
} from "./rules-api.ts";
export { confirmSnsJob, confirmSnsPayload, confirmSnsResult, isSnsSubscribeUrl } from "./sns.ts";
export {
  type NewSourceBody,
  newSource,
  providerView,
  type SecretRotation,
  type SourcePatch,
  type SourceTest,
  type SourceTestResult,
  type SourceTraits,
  type SourceView,
  secretRotation,
  sourcePatch,
  sourceTest,
  sourceTestResult,
  sourceTraits,
  sourceView,
  sourceWithSecret,
} from "./sources-api.ts";
export { currentTemplateVersion, type TemplateData, type TemplateName, templateCatalogue } from "./templates.ts";
export {
  type RejectionCause,
  rejectionCause,
  sourceName,
  type WebhookReceipt,
  type WebhookStatus,
  webhookReceipt,
  webhookStatus,
} from "./webhooks.ts";
