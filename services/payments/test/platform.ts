import { randomUUID } from "node:crypto";
import type { ConfirmYookassaPayload } from "@warren/contracts";
import { type Client, confirmYookassaPayment } from "@warren/jobs";
import type { Ledger } from "@warren/ledger";
import { createMetrics, openTracing } from "@warren/observability";
import { startYookassa, type YookassaStandIn } from "@warren/sandbox";
import { openTestWarren, type TestWarren } from "@warren/testing/jobs";
import { startPayments } from "../src/app.ts";
import { paymentsConfig } from "../src/config.ts";

/** The payments service in this process, with a real broker and database and a YooKassa of our own. */
export interface Platform extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly client: Client;
  readonly yookassa: YookassaStandIn;
  metricsText(): Promise<string>;
  /** Puts a payment of 100.00 RUB into YooKassa; answers its id. */
  pay(status: "pending" | "waiting_for_capture" | "succeeded" | "canceled"): string;
  /** Enqueues notifications about payments. */
  notify(...payloads: readonly ConfirmYookassaPayload[]): Promise<readonly string[]>;
  readonly finished: TestWarren["finished"];
  /** The recorded payment. */
  recorded(id: string): Promise<Record<string, unknown> | undefined>;
  /** Jobs that wait to be sent as mail. */
  mails(): Promise<readonly { template: string; status: string | undefined; email: string }[]>;
}

export async function startPlatform(settings: Record<string, string> = {}): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const warren = stack.use(await openTestWarren());
  const { ledger, client } = warren;
  const yookassa = stack.use(await startYookassa({ port: 0 }));
  const metrics = createMetrics({ service: "payments", version: "test" });
  const tracing = stack.use(openTracing({ service: "test", version: "test", sampleRatio: 0 }));
  const config = paymentsConfig.parse({
    WARREN_YOOKASSA_API_URL: yookassa.apiUrl,
    WARREN_YOOKASSA_SHOP_ID: yookassa.shopId,
    WARREN_YOOKASSA_SECRET_KEY: yookassa.secretKey,
    ...settings,
  });
  const service = stack.use(await startPayments({ ...warren, config, metrics, tracing, version: "test" }));
  stack.defer(async () => {
    await service.quiet?.();
  });

  const owned = stack.move();
  return {
    ledger,
    client,
    yookassa,
    metricsText: () => Promise.resolve(metrics.text()),
    pay(status) {
      const [payment] = yookassa.seed([
        { id: randomUUID(), status, amount: { value: "100.00", currency: "RUB" }, description: "Order 37" },
      ]);
      return payment?.id ?? "";
    },
    async notify(...payloads) {
      const enqueued = await client.enqueueMany(
        confirmYookassaPayment,
        payloads.map((payload) => ({ payload })),
      );
      return enqueued.map(({ id }) => id);
    },
    finished: (ids) => warren.finished(ids),
    async recorded(id) {
      const { rows } = await ledger.query(
        `select status, amount::text, currency, kind, payment_id, log from ${ledger.table("payments")} where provider = 'yookassa' and object_id = $1`,
        [id],
      );
      return rows[0];
    },
    async mails() {
      const { rows } = await ledger.query(
        `select payload from ${ledger.table("jobs")} where name = 'notifications.send-template' order by id`,
        [],
      );
      return rows.map(({ payload }) => {
        const mail = payload as { template: string; data: { status?: string }; user: { email: string } };
        return { template: mail.template, status: mail.data.status, email: mail.user.email };
      });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
