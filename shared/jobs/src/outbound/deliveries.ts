import {
  createWebhookDeliveries,
  type Ledger,
  type WebhookDeliveryRecord,
  type WebhookDeliveryStore,
} from "@warren/ledger";
import { deliverWebhook } from "../builtin/deliver-webhook.ts";
import type { Client } from "../enqueue/client.ts";
import { EndpointError } from "./errors.ts";

export interface OutboundDeliveries extends Pick<WebhookDeliveryStore, "list" | "attempts"> {
  /** @throws EndpointError `DELIVERY_UNKNOWN`. */
  get(id: string): Promise<WebhookDeliveryRecord>;
  /**
   * Sends it again, now, under its `webhook-id`, whether it was delivered or failed, with a schedule of its own; one that waits for its
   * next try is tried at once.
   * @throws EndpointError `DELIVERY_UNKNOWN`, `DELIVERY_NOT_FINISHED` while it is under way.
   */
  retry(id: string): Promise<WebhookDeliveryRecord>;
  /** Sends all again that failed at an endpoint and were made since a time, the newest first. Answers how many; at most `limit`. */
  retryFailed(endpointId: string, since: Date, limit: number): Promise<number>;
}

export interface OutboundDeliveriesOptions {
  readonly ledger: Pick<Ledger, "query" | "run" | "table" | "transaction" | "delayed" | "findJob">;
  readonly client: Pick<Client, "enqueue">;
}

const pageSize = 200;

/** Looks at deliveries, and sends them again. */
export function createOutboundDeliveries({ ledger, client }: OutboundDeliveriesOptions): OutboundDeliveries {
  const store = createWebhookDeliveries(ledger);

  async function get(id: string): Promise<WebhookDeliveryRecord> {
    const found = await store.find(id);
    if (found === undefined) throw new EndpointError("DELIVERY_UNKNOWN", `there is no delivery ${id}`);
    return found;
  }

  /** A new job takes the delivery over from one that has ended, in one transaction: of several who ask at once, one gets it. */
  async function again(delivery: WebhookDeliveryRecord): Promise<void> {
    const { id, endpointId, eventType, eventId, createdAt } = delivery;
    await ledger.transaction(async (run) => {
      const given = {
        endpoint: endpointId,
        eventType,
        eventId,
        createdAt: createdAt.toISOString(),
        payload: null,
        delivery: id,
      };
      const { id: jobId } = await client.enqueue(deliverWebhook, given, { tx: run });
      if (await store.take(id, { from: delivery.jobId, to: jobId }, run)) return;
      // takes the new job back as well
      throw underWay(id);
    });
  }

  return {
    list: (filter, limit) => store.list(filter, limit),
    attempts: (deliveryId, limit, before) => store.attempts(deliveryId, limit, before),
    get,
    async retry(id) {
      const delivery = await get(id);
      const job = isFinished(delivery) ? undefined : await ledger.findJob(delivery.jobId);
      if (job?.state === "scheduled" || job?.state === "retrying") await ledger.delayed.runNow(job.id);
      else if (job !== undefined && job.finishedAt === undefined) throw underWay(id);
      // finished, or its job ended otherwise: cancelled, or its worker died too often
      else await again(delivery);
      return get(id);
    },
    async retryFailed(endpointId, since, limit) {
      let count = 0;
      let before: string | undefined;
      while (count < limit) {
        const page = await store.list(
          { endpointId, state: "failed", since, before },
          Math.min(pageSize, limit - count),
        );
        for (const delivery of page) {
          try {
            await again(delivery);
            count += 1;
          } catch (error) {
            // somebody retries it at the same time
            if (!(error instanceof EndpointError)) throw error;
          }
        }
        before = page.at(-1)?.id;
        if (before === undefined) break;
      }
      return count;
    },
  };
}

function isFinished({ state }: WebhookDeliveryRecord): boolean {
  return state === "delivered" || state === "failed";
}

function underWay(id: string): EndpointError {
  return new EndpointError("DELIVERY_NOT_FINISHED", `delivery ${id} is under way`);
}
