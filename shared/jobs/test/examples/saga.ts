import { z } from "zod";
import {
  type Client,
  compensates,
  defineFlow,
  defineJob,
  flowEnd,
  handle,
  NonRetryableError,
} from "../../src/index.ts";

export const reserve = defineJob({
  name: "stock.reserve",
  payload: z.object({ sku: z.string(), count: z.number() }),
  result: z.object({ reservation: z.string() }),
});
export const charge = defineJob({
  name: "payments.charge",
  payload: z.object({ order: z.string(), cents: z.number() }),
  result: z.object({ payment: z.string() }),
});
export const ship = defineJob({ name: "parcels.ship", payload: z.object({ order: z.string() }) });
export const release = defineJob({ name: "stock.release", payload: compensates(reserve) });
export const refund = defineJob({ name: "payments.refund", payload: compensates(charge) });
export const tell = defineJob({ name: "orders.tell", payload: flowEnd });

/** Each step that has an effect names the job that undoes it. */
export const orderFlow = (order: string) =>
  defineFlow(
    "order",
    (flow) => {
      const stock = flow.job(reserve, { sku: "lamp", count: 2 }, { name: "stock", compensate: release });
      const payment = flow.job(charge, { order, cents: 4_900 }, { name: "payment", compensate: refund, after: stock });
      flow.job(ship, { order }, { name: "parcel", after: [payment, stock] });
    },
    { onFinished: tell },
  );

/** What happened, in order; a real handler would do it. */
export const diary: string[] = [];

export const handlers = [
  handle(reserve, ({ payload }) => {
    diary.push(`reserve ${payload.sku}`);
    return { reservation: "r-1" };
  }),
  handle(charge, async (job) => {
    const { reservation } = await job.flow.resultOf("stock", reserve);
    diary.push(`charge ${job.payload.cents} for ${reservation}`);
    return { payment: "p-1" };
  }),
  handle(ship, () => {
    throw new NonRetryableError("no such address");
  }),
  handle(refund, ({ payload }) => void diary.push(`refund ${payload.result.payment}, ${payload.payload.cents}`)),
  handle(release, ({ payload }) => void diary.push(`release ${payload.result.reservation}: ${payload.flow.reason}`)),
  handle(tell, ({ payload }) => void diary.push(`${payload.name} ${payload.key} ${payload.state}`)),
];

export async function startOrder(client: Client) {
  return client.startFlow(orderFlow("o-1"), { id: "o-1" });
}
