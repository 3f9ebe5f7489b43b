import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { createTestClient, expectEnqueued } from "../../src/jobs/index.ts";
import { handlersOf, payOrder, sendReceipt } from "./shop.ts";

void test("the receipt goes out a minute after the payment", async () => {
  const sent: string[] = [];
  await using client = createTestClient({
    handlers: handlersOf(async (email) => `message-${sent.push(email)}`),
    mode: "inline",
  });
  await payOrder(client, 7, "anna@example.com");
  await client.advance(59_000);
  deepEqual(sent, []);
  await client.advance(1_000);
  deepEqual(sent, ["anna@example.com"]);
});

void test("a job that was not enqueued is missed, with what was enqueued instead", async () => {
  await using client = createTestClient();
  await payOrder(client, 7, "anna@example.com");
  throws(
    () => expectEnqueued(client, sendReceipt, { orderId: 8 }),
    /found none\nenqueued:\n {2}receipts\.send \{ orderId: 7/,
  );
});
