import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { confirmSnsSubscription } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { openBench } from "./platform.ts";

const topicArn = "arn:aws:sns:eu-west-1:123456789012:orders";
const subscriptionArn = `${topicArn}:2bcfbf39-05c3-41de-beaa-fcfcc21c8f55`;
const subscribeUrl = `https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${topicArn}&Token=2336412f37`;

/** SNS as it answers, after as many failures as asked for. */
async function startSns(failures: number) {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    if (asked.length <= failures) return response.writeHead(503).end();
    const xml = `<ConfirmSubscriptionResponse><ConfirmSubscriptionResult><SubscriptionArn>${subscriptionArn}</SubscriptionArn></ConfirmSubscriptionResult></ConfirmSubscriptionResponse>`;
    return response.writeHead(200, { "content-type": "text/xml" }).end(xml);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("a subscription of SNS is confirmed at SNS, also when SNS fails at first", async () => {
  await using sns = await startSns(1);
  await using bench = await openBench();
  await bench.serve({ WARREN_SNS_ENDPOINT: sns.url });
  const { id } = await bench.client.enqueue(confirmSnsSubscription, { topicArn, subscribeUrl });
  const job = await waitFor(async () => {
    const found = await bench.ledger.findJob(id);
    return found?.state === "succeeded" ? found : undefined;
  });
  expect(job.result).toEqual({ subscriptionArn });
  const query = new URLSearchParams({ Action: "ConfirmSubscription", TopicArn: topicArn, Token: "2336412f37" });
  expect(sns.asked).toEqual([`/?${query.toString()}`, `/?${query.toString()}`]);
});

test("an address that is not of SNS is not fetched", async () => {
  await using sns = await startSns(0);
  await using bench = await openBench();
  await bench.serve({ WARREN_SNS_ENDPOINT: sns.url });
  const { id } = await bench.client.enqueue(confirmSnsSubscription, {
    topicArn,
    subscribeUrl: "https://sns.eu-west-1.amazonaws.com.example.com/?Action=ConfirmSubscription",
  });
  await waitFor(async () => (await bench.ledger.findJob(id))?.state === "dead");
  expect(await bench.ledger.findJob(id)).toMatchObject({ reason: "SNS_URL_REFUSED" });
  expect(sns.asked).toEqual([]);
});
