import { deadExchange, jobQueue, jobsExchange, unroutableQueue } from "@warren/amqp";
import { handle } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Bench, note, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

async function publish(exchange: string, routingKey: string, body: unknown, headers = {}): Promise<void> {
  const publisher = bench.session.publisher();
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  await publisher.publish({ exchange, routingKey, body: bytes, messageId: crypto.randomUUID(), headers });
  await publisher[Symbol.asyncDispose]();
}

async function deadLetters(): Promise<readonly Record<string, unknown>[]> {
  return (await bench.ledger.query(`select * from ${bench.ledger.table("dead_letters")}`, [])).rows;
}

test("a message that is not ours is set aside with its reason, and its neighbours run", async () => {
  await bench.dispatcher();
  await bench.worker([handle(note, () => undefined)]);
  await publish(jobsExchange, "notes", "<xml>hello</xml>");
  const { id } = await bench.client.enqueue(note, { text: "neighbour" });
  await bench.until(id, "succeeded");
  const [letter] = await waitFor(async () => {
    const rows = await deadLetters();
    return rows.length > 0 ? rows : undefined;
  });
  expect(letter).toMatchObject({ queue: "notes", reason: "rejected", job_ids: [] });
  expect(String(letter?.["body"])).toBe("<xml>hello</xml>");
});

test("a message to a queue that does not exist is taken in with an alarm, and its job runs", async () => {
  await bench.dispatcher();
  const { id } = await bench.client.enqueue(note, { text: "to nowhere" });
  await waitFor(async () => (await bench.metrics.value("warren_unroutable_messages_total")) === 1);
  await bench.worker([handle(note, () => undefined)]);
  await bench.until(id, "succeeded");
  expect(await bench.depth(unroutableQueue)).toBe(0);
});

test("a job whose messages hit the delivery limit is sent again, and at the third time it is dead", async () => {
  await bench.dispatcher();
  const { id } = await bench.quietClient.enqueue(note, { text: "kills its consumers" });
  await waitFor(async () => (await bench.depth(jobQueue("notes"))) === 1);
  const headers = { "x-first-death-reason": "delivery_limit" };
  for (let death = 1; death <= 3; death += 1) {
    expect((await bench.ledger.findJob(id))?.state).toBe("ready");
    await publish(deadExchange, "notes", { v: 1, jobs: [id] }, headers);
    await waitFor(async () => (await deadLetters()).length === death, { what: `dead letter ${death}` });
  }
  const job = await bench.until(id, "dead");
  expect(job.reason).toBe("JOB_UNDELIVERABLE");
});

test("a dead letter of a job that ran meanwhile changes nothing", async () => {
  await bench.dispatcher();
  await bench.worker([handle(note, () => undefined)]);
  const { id } = await bench.client.enqueue(note, { text: "fine" });
  await bench.until(id, "succeeded");
  await publish(deadExchange, "notes", { v: 1, jobs: [id] }, { "x-first-death-reason": "delivery_limit" });
  await waitFor(async () => (await deadLetters()).length >= 1);
  expect((await bench.ledger.findJob(id))?.state).toBe("succeeded");
});
