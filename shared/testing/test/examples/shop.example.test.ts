import { expect, test } from "vitest";
import { createTestClient, expectEnqueued, expectPublished, refuteEnqueued } from "../../src/jobs/index.ts";
import { handlersOf, type Mailer, orderPaid, payOrder, sendReceipt } from "./shop.ts";

// begin manual
test("paying an order asks for a receipt in a minute", async () => {
  await using client = createTestClient();
  await payOrder(client, 7, "anna@example.com");

  expectEnqueued(client, sendReceipt, { orderId: 7 }, { delayMs: 60_000, id: "order-7" });
  refuteEnqueued(client, sendReceipt, ({ email }) => email.endsWith("@example.org"));
  expectPublished(client, orderPaid, { email: expect.stringContaining("anna") });
});
// end manual

// begin clock
test("a mailer that fails is asked again after its backoff", async () => {
  const sent: string[] = [];
  let isUp = false;
  const mail: Mailer = async (email) => {
    if (!isUp) throw new Error("connection refused");
    sent.push(email);
    return "message-1";
  };
  await using client = createTestClient({ handlers: handlersOf(mail), mode: "inline" });
  const { id } = await client.enqueue(sendReceipt, { orderId: 7, email: "anna@example.com" }); // has run once now
  expect(client.job(id)).toMatchObject({ state: "retrying", errors: [{ message: "connection refused" }] });

  isUp = true;
  await client.advance(1_000); // the first backoff
  expect(client.job(id)).toMatchObject({ state: "succeeded", result: { messageId: "message-1" } });
  expect(sent).toEqual(["anna@example.com"]);
});
// end clock

test("a receipt that can never be sent is dead after one attempt", async () => {
  await using client = createTestClient({ handlers: handlersOf(async () => "never") });
  await client.enqueue(sendReceipt, { orderId: 7, email: "bert@nowhere.invalid" });
  const { attempts, dead } = await client.drain();
  expect([attempts, dead.map(({ reason }) => reason)]).toEqual([1, ["NO_SUCH_DOMAIN"]]);
});
