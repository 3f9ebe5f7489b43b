import { type AmqpSession, eventsTopology } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import { z } from "zod";
import { createClient, createSubscriber, defineEvent, subscribe } from "../../src/index.ts";

/** The example of infra/docs/events.md; `events.example.integration.test.ts` runs it and holds the page to it. */
export async function events({ ledger, session, log, metrics }: Parts) {
  // begin
  const orderCreated = defineEvent({
    type: "orders.created",
    schema: z.object({ orderId: z.string(), total: z.number() }),
  });

  // billing: each order becomes one invoice, however often its event is delivered
  const invoices = subscribe(orderCreated, { service: "billing", name: "invoices", inbox: true }, async (event) => {
    await ledger.transaction(async (tx) => {
      await tx("insert into invoices (order_id, total) values ($1, $2)", [event.data.orderId, event.data.total]);
      await event.complete(tx);
    });
  });
  const subscriber = createSubscriber({ session, ledger, subscriptions: [invoices], log, metrics });
  await subscriber.start();

  // orders: the row and its event commit together
  await session.declare(eventsTopology());
  const client = createClient({ ledger, publisher: session.publisher(), source: "/orders", log, metrics });
  await ledger.transaction(async (tx) => {
    await tx("insert into orders (id, total) values ($1, $2)", ["o-1", 9.5]);
    await client.publish(orderCreated, { orderId: "o-1", total: 9.5 }, { tx, subject: "o-1" });
  });

  // without a transaction: confirmed by the broker, no row anywhere
  await client.publish(orderCreated, { orderId: "o-2", total: 3 });
  // end
  return { subscriber, client };
}

interface Parts {
  readonly ledger: Ledger;
  readonly session: AmqpSession;
  readonly log: Logger;
  readonly metrics: Metrics;
}
