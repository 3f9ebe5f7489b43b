import { type confirmSnsPayload, type confirmSnsResult, isSnsSubscribeUrl } from "@warren/contracts";
import { type Job, NonRetryableError } from "@warren/jobs";
import { createHttpClient, type HttpClient, type Provider } from "@warren/resilience";
import type { z } from "zod";

export interface SnsOptions {
  readonly provider: Provider;
  /** Where SNS answers in place of its own hosts, for tests and VPC endpoints; `undefined`: the host of the message. */
  readonly endpoint: string | undefined;
  readonly timeoutMs: number;
}

export interface SnsConfirmations extends AsyncDisposable {
  /** Handles `confirm-sns-subscription`, behind the breaker `sns:confirm-subscription`. */
  confirm(job: Pick<Job<Payload, Result>, "payload" | "signal" | "log">): Promise<Result>;
}

type Payload = z.output<typeof confirmSnsPayload>;
type Result = z.infer<typeof confirmSnsResult>;

const concurrent = 10;

export function openSnsConfirmations({ provider, endpoint, timeoutMs }: SnsOptions): SnsConfirmations {
  const operation = provider.operation({
    name: "confirm-subscription",
    timeoutMs,
    bulkhead: { concurrent, queued: 1_000 },
    breaker: { threshold: { kind: "consecutive", failures: 5 }, halfOpenAfterMs: 15_000, maxHalfOpenAfterMs: 300_000 },
    // confirming twice confirms once
    retry: { attempts: 2, baseDelayMs: 300, maxDelayMs: 2_000, safe: true },
  });
  /** One a region. */
  const clients = new Map<string, HttpClient>();

  function clientOf(baseUrl: string): HttpClient {
    const known = clients.get(baseUrl);
    if (known !== undefined) return known;
    const client = createHttpClient({ provider, baseUrl, connections: concurrent });
    clients.set(baseUrl, client);
    return client;
  }

  return {
    async confirm({ payload, signal, log }) {
      const { subscribeUrl, topicArn } = payload;
      if (!isSnsSubscribeUrl(subscribeUrl)) {
        throw new NonRetryableError("the address to confirm at is not one of AWS SNS", { reason: "SNS_URL_REFUSED" });
      }
      const url = new URL(subscribeUrl);
      const query = Object.fromEntries(url.searchParams);
      const { body } = await clientOf(endpoint ?? url.origin).request({
        operation,
        method: "GET",
        path: "/",
        query,
        signal,
      });
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const subscriptionArn = /arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]+:[0-9a-f-]{36}/.exec(text)?.[0];
      log.info({ topicArn, subscriptionArn }, "a topic of SNS may send here");
      return subscriptionArn === undefined ? {} : { subscriptionArn };
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients.values()) await client[Symbol.asyncDispose]();
    },
  };
}
