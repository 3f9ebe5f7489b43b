import type { RunSql } from "@warren/ledger";
import { type Client, type Endpoints, publishWebhook } from "../../src/index.ts";

/** The examples of `infra/docs/deliveries.md`; `deliveries.example.integration.test.ts` runs them. */

/** A customer's endpoint, and the secret that the customer is shown once. */
export async function connectCustomer(endpoints: Endpoints, url: string) {
  const { endpoint, secret } = await endpoints.create({
    url,
    eventTypes: ["invoice.*"],
    rate: { limit: 10, perMs: 1_000 },
    description: "Accounting of Acme",
  });
  return { id: endpoint.id, secret: secret.secret };
}

/** The invoice is paid and everybody who wants to know is told, or neither. */
export async function payInvoice(client: Client, tx: RunSql, invoice: number): Promise<void> {
  await tx("update invoices set paid_at = now() where id = $1", [invoice]);
  const event = {
    eventType: "invoice.paid",
    eventId: `invoice-${invoice}-paid`,
    createdAt: new Date().toISOString(),
    payload: { invoice },
  };
  await client.enqueue(publishWebhook, event, { tx });
}
