import type { AttemptView, DeliveryView, EndpointView } from "@warren/contracts";
import type { Endpoint } from "@warren/jobs";
import type { WebhookAttemptRecord, WebhookDeliveryRecord } from "@warren/ledger";

const momentOf = (date: Date | undefined): string | null => date?.toISOString() ?? null;

export function endpointOf(endpoint: Endpoint): EndpointView {
  const { id, url, eventTypes, settings, headerNames, hasProxy, hasClientCertificate, state, secrets } = endpoint;
  return {
    id,
    url,
    eventTypes: [...eventTypes],
    ...settings,
    headerNames: [...headerNames],
    hasProxy,
    hasClientCertificate,
    state: state.kind,
    disabledReason: state.kind === "disabled" ? state.reason : null,
    disabledAt: state.kind === "disabled" ? state.at.toISOString() : null,
    failingSince: momentOf(endpoint.failingSince),
    lastSuccessAt: momentOf(endpoint.lastSuccessAt),
    lastFailureAt: momentOf(endpoint.lastFailureAt),
    secrets: secrets.map((secret) => ({
      id: secret.id,
      kind: secret.kind,
      publicKey: secret.publicKey ?? null,
      createdAt: secret.createdAt.toISOString(),
      expiresAt: momentOf(secret.expiresAt),
    })),
    createdAt: endpoint.createdAt.toISOString(),
    updatedAt: endpoint.updatedAt.toISOString(),
  };
}

export function deliveryOf(delivery: WebhookDeliveryRecord): DeliveryView {
  const { id, endpointId, eventType, eventId, webhookId, state, attempts, jobId } = delivery;
  return {
    id,
    endpointId,
    eventType,
    eventId,
    webhookId,
    state,
    attempts,
    jobId,
    reason: delivery.reason ?? null,
    nextAt: momentOf(delivery.nextAt),
    createdAt: delivery.createdAt.toISOString(),
    updatedAt: delivery.updatedAt.toISOString(),
  };
}

export function attemptOf(attempt: WebhookAttemptRecord): AttemptView {
  const { number, outcome, url, response, jobId } = attempt;
  return {
    number,
    outcome,
    url,
    jobId,
    reason: attempt.reason ?? null,
    detail: attempt.detail ?? null,
    startedAt: attempt.startedAt.toISOString(),
    durationMs: attempt.durationMs ?? null,
    address: attempt.address ?? null,
    requestHeaders: pairsOf(attempt.requestHeaders),
    response:
      response === undefined
        ? null
        : {
            status: response.status,
            headers: pairsOf(response.headers),
            body: response.body.toString("utf8"),
            truncated: response.truncated,
          },
  };
}

function pairsOf(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, index) => [flat[index * 2] ?? "", flat[index * 2 + 1] ?? ""]);
}
