import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { expectEnqueued, openTestWarren, type TestWarren } from "../../src/jobs/index.ts";
import { handlersOf, orderPaid, sendReceipt, subscriptionsOf } from "./shop.ts";

// begin real
test("a paid order brings one receipt, on broker and database", async () => {
  const sent: string[] = [];
  const opened: { warren?: TestWarren } = {};
  await using warren = await openTestWarren({
    handlers: handlersOf(async (email, text) => `message-${sent.push(`${email}: ${text}`)}`),
    subscriptions: subscriptionsOf(() => (opened.warren as TestWarren).client),
  });
  opened.warren = warren;
  await warren.client.publish(orderPaid, { orderId: 7, email: "anna@example.com" });
  await warren.drain();
  expect(sent).toEqual(["anna@example.com: Order 7"]);
  await expectEnqueued(warren, sendReceipt, { orderId: 7 }, { state: "succeeded", count: 1 });
});
// end real

test("the example for node:test passes under node:test", async () => {
  const file = fileURLToPath(new URL("shop.node-test.ts", import.meta.url));
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const { stdout } = await promisify(execFile)(process.execPath, ["--test", "--test-reporter=tap", file], { env });
  expect(stdout).toMatch(/^# pass 2$/m);
  expect(stdout).toMatch(/^# fail 0$/m);
});
