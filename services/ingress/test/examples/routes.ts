import { defineEvent, defineJob } from "@warren/jobs";
import { z } from "zod";
import { route } from "../../src/routing/route.ts";

const shipOrder = defineJob({
  name: "orders.ship",
  queue: "orders",
  payload: z.object({ orderId: z.string() }),
});
const orderPaid = defineEvent({
  type: "orders.paid",
  schema: z.object({ orderId: z.string(), total: z.number() }),
});

const body = z.object({ order: z.object({ id: z.string(), customer: z.string(), total: z.number() }) });

/** What `createRoutes` of `src/routing/routes.ts` answers. */
export const routes = [
  route({ name: "order-paid", source: "shop", types: ["order.paid"], body })
    .toJob(
      shipOrder,
      (_event, { order }) => ({ orderId: order.id }),
      // the jobs of a customer run in order, where the queue is governed so; an order is shipped once
      (_event, { order }) => ({ key: order.customer, unique: { key: order.id } }),
    )
    .toEvent(orderPaid, (_event, { order }) => ({ orderId: order.id, total: order.total }))
    .toDelivery((_event, { order }) => ({ eventType: "order.paid", payload: order })),
];
