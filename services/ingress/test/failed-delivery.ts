import { createWebhookDeliveries, type Ledger, newId } from "@warren/ledger";

interface FailedDelivery {
  readonly endpointId: string;
  readonly url: string;
  readonly eventId?: (id: string) => string;
  /** Of the answer that was kept. Default `no`, whole. */
  readonly answer?: { readonly body: Buffer; readonly truncated: boolean };
}

/** Writes down a delivery that failed at its first try, as the deliveries service does. Answers its id. */
export async function failDelivery(
  ledger: Ledger,
  { endpointId, url, eventId = (id) => `evt_${id}`, answer }: FailedDelivery,
): Promise<string> {
  const store = createWebhookDeliveries(ledger);
  const id = newId();
  const event = { eventType: "invoice.paid", eventId: eventId(id), webhookId: "msg_1", body: '{"a":1}' };
  await store.begin({ id, endpointId, jobId: id, ...event }, url);
  await store.settle({
    deliveryId: id,
    number: 1,
    outcome: "failed",
    reason: "DELIVERY_STATUS",
    detail: "the endpoint answered 500",
    durationMs: 7,
    address: "192.0.2.7",
    requestHeaders: ["webhook-id", "msg_1"],
    response: { status: 500, headers: ["x-a", "b"], ...(answer ?? { body: Buffer.from("no"), truncated: false }) },
    retryInMs: undefined,
  });
  return id;
}
