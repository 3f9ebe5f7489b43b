import { type Client, defineEvent, defineJob, handle, NonRetryableError, subscribe } from "@warren/jobs";
import { z } from "zod";

/** The code under test in the examples: a shop that sends receipts. */
export const sendReceipt = defineJob({
  name: "receipts.send",
  payload: z.object({ orderId: z.number(), email: z.email() }),
  result: z.object({ messageId: z.string() }),
  attempts: 3,
});
export const orderPaid = defineEvent({
  type: "orders.paid",
  schema: z.object({ orderId: z.number(), email: z.email() }),
});

/** Sends mail; a test gives its own. */
export type Mailer = (email: string, text: string) => Promise<string>;

export const handlersOf = (mail: Mailer) => [
  handle(sendReceipt, async ({ payload }) => {
    if (payload.email.endsWith(".invalid")) throw new NonRetryableError("no such domain", { reason: "NO_SUCH_DOMAIN" });
    return { messageId: await mail(payload.email, `Order ${payload.orderId}`) };
  }),
];

export const subscriptionsOf = (client: () => Client) => [
  subscribe(orderPaid, { service: "shop", name: "receipts" }, async ({ data }) => {
    await client().enqueue(sendReceipt, data, { id: `order-${data.orderId}` });
  }),
];

/** What a request handler does. */
export async function payOrder(client: Client, orderId: number, email: string): Promise<void> {
  await client.publish(orderPaid, { orderId, email });
  await client.enqueue(sendReceipt, { orderId, email }, { id: `order-${orderId}`, delayMs: 60_000 });
}
