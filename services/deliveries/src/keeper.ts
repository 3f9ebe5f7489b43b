import { endpointBreaker, sendTemplate } from "@warren/contracts";
import { type Client, endpointDisabled, type OpenEndpoint, sendTemplateEmail } from "@warren/jobs";
import type { EndpointStore, Ledger, WebhookDeliveryStore } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { DeliveryVerdict } from "./verdict.ts";

export interface KeeperOptions {
  readonly ledger: Pick<Ledger, "reportBreaker" | "transaction">;
  readonly deliveries: Pick<WebhookDeliveryStore, "succeeded" | "failed">;
  readonly endpoints: Pick<EndpointStore, "disable">;
  readonly client: Pick<Client, "publish" | "enqueue">;
  /** After so many tries in a row that find it away, the endpoint's other deliveries are held. */
  readonly breakerFailures: number;
  readonly breakerOpenMs: number;
  readonly breakerMaxOpenMs: number;
  /** Failing for this long without a success disables it. */
  readonly disableAfterMs: number;
  readonly log: Logger;
}

/** What a try says about its endpoint: closes and opens its breaker, and disables what is gone or fails for days. */
export interface EndpointKeeper {
  succeeded(endpointId: string): Promise<void>;
  /** Answers whether the endpoint takes nothing more. Repeating it counts the failure twice, and does no other harm. */
  failed(
    endpoint: Pick<OpenEndpoint, "id" | "url" | "settings">,
    verdict: Pick<Extract<DeliveryVerdict, { kind: "failed" }>, "outage" | "restMs" | "gone" | "detail">,
  ): Promise<boolean>;
}

/** In notices. */
const longestDetail = 500;
/** The longer it has been away, the longer it is left alone: for a quarter of that time. */
const awayShare = 0.25;

export function createKeeper(options: KeeperOptions): EndpointKeeper {
  const { ledger, deliveries, endpoints, client, log } = options;

  async function disable(
    endpoint: Pick<OpenEndpoint, "id" | "url" | "settings">,
    notice: { readonly reason: "gone" | "failing"; readonly failingSince: Date; readonly detail: string },
  ): Promise<void> {
    const { reason, failingSince } = notice;
    const detail = notice.detail.slice(0, longestDetail);
    const { id, url, settings } = endpoint;
    // all or nothing: whoever disables it gives notice, once
    const didIt = await ledger.transaction(async (tx) => {
      if (!(await endpoints.disable(id, reason, tx))) return false;
      const data = { endpointId: id, url, reason, failingSince: failingSince.toISOString(), lastFailure: detail };
      await client.publish(endpointDisabled, data, { tx, subject: id });
      if (settings.notify !== null) {
        const mail = sendTemplate({ id, email: settings.notify }, "endpoint-disabled", {
          url,
          cause: reason,
          failingSince: data.failingSince,
          lastFailure: detail,
        });
        await client.enqueue(sendTemplateEmail, mail, { tx });
      }
      return true;
    });
    if (didIt) log.warn({ endpointId: id, reason, failingSince, lastFailure: detail }, "endpoint disabled");
    // what its breaker holds goes on, and ends
    await close(id);
  }

  const close = (id: string): Promise<void> =>
    ledger.reportBreaker({ name: endpointBreaker(id), state: "closed", reporter: "deliveries" });

  return {
    async succeeded(endpointId) {
      const outages = await deliveries.succeeded(endpointId);
      // a probe closes it by itself; one that was under way when it opened does here
      if (outages > 0) await close(endpointId);
    },
    async failed(endpoint, { outage, restMs, gone, detail }) {
      const found = await deliveries.failed(endpoint.id, outage);
      if (found === undefined) return true;
      const { failingSince, failingMs, outages } = found;
      const reason = gone ? "gone" : failingMs >= options.disableAfterMs ? "failing" : undefined;
      if (reason !== undefined) {
        await disable(endpoint, { reason, failingSince, detail });
        return true;
      }
      const isAway = outage && outages >= options.breakerFailures;
      if (isAway || restMs !== undefined) {
        const awayMs = Math.min(Math.max(options.breakerOpenMs, failingMs * awayShare), options.breakerMaxOpenMs);
        const retryAfterMs = Math.max(isAway ? awayMs : 0, restMs ?? 0);
        await ledger.reportBreaker({
          name: endpointBreaker(endpoint.id),
          state: "open",
          retryAfterMs,
          reporter: "deliveries",
        });
      }
      return false;
    },
  };
}
