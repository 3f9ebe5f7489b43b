import { webhookReceipt } from "@warren/contracts";
import { createWorld } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { githubHeaders, jobsOf, post, prepare, requestsOf, startIngress } from "./fixture.ts";
import { hmacHex, standardHeaders, stripeHeader } from "./signed.ts";

const json = { "content-type": "application/json" };
const seconds = () => Math.floor(Date.now() / 1000);

describe("an authentic webhook", () => {
  test("is stored byte for byte with its headers in order, and becomes one job that workers hear of", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world);
    const body = '{ "ref":"refs/heads/main",\n\t"message":"grüße \\u0000 \ud83d\udc30"}  ';
    const answer = await post(running, "github?token=1", githubHeaders(body, "d-1"), body);

    expect(answer.status).toBe(202);
    const receipt = webhookReceipt.parse(answer.body);
    expect(receipt.status).toBe("accepted");
    const [request] = await requestsOf(running);
    expect(request).toMatchObject({
      id: receipt.requestId,
      source: "github",
      provider: "github",
      status: "accepted",
      cause: null,
      method: "POST",
      path: "/webhooks/github",
      query: "token=1",
      peer_address: "127.0.0.1",
      client_address: "127.0.0.1",
      dedupe_key: "d-1",
      event_id: "d-1",
      event_type: "push",
      correlation_id: answer.headers.get("x-correlation-id"),
    });
    expect(Buffer.from(body).equals(request?.["body"] as Buffer)).toBe(true);
    const headers = request?.["headers"] as string[];
    expect(headers[headers.indexOf("x-github-delivery") + 1]).toBe("d-1");

    const [job, ...others] = await jobsOf(running);
    expect(others).toEqual([]);
    expect(job).toMatchObject({
      state: "ready",
      name: "notifications.send-template",
      queue: "notifications",
      correlation_id: answer.headers.get("x-correlation-id"),
      payload: {
        user: { email: "operator@example.com" },
        template: "webhook-received",
        data: { source: "github", event: "push", eventId: "d-1", requestId: receipt.requestId },
      },
    });
    expect(request?.["job_ids"]).toEqual([job?.["id"]]);
    expect(running.announced).toEqual([{ id: job?.["id"], queue: "notifications" }]);
    expect(
      await running.metrics.value("warren_webhook_requests_total", { source: "github", outcome: "accepted" }),
    ).toBe(1);
  });

  test("of every provider is acknowledged as that provider wants it", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world);
    const stripe = JSON.stringify({
      id: "evt_1",
      type: "payment_intent.succeeded",
      livemode: false,
      data: {
        object: {
          id: "pi_1",
          amount_received: 1250,
          currency: "eur",
          created: seconds(),
          receipt_email: "anna@example.com",
        },
      },
    });
    const standard = '{"type":"invoice.paid"}';
    const yookassa = JSON.stringify({
      type: "notification",
      event: "payment.succeeded",
      object: { id: "22d6d597", status: "succeeded", amount: { value: "2.00", currency: "RUB" } },
    });
    const answers = [
      await post(
        running,
        "stripe",
        { ...json, "stripe-signature": stripeHeader(stripe, undefined, seconds()) },
        stripe,
      ),
      await post(running, "standard", { ...json, ...standardHeaders("msg_1", standard, seconds()) }, standard),
      await post(running, "generic", { "x-sig": hmacHex("s3cret", "plain") }, "plain"),
      await post(running, "yookassa", json, yookassa),
    ];
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 200]);
    const jobs = await jobsOf(running);
    expect(jobs.map((job) => [job["name"], (job["payload"] as { template?: string }).template])).toEqual([
      ["notifications.send-template", "payment-succeeded"],
      ["notifications.send-template", "webhook-received"],
      ["notifications.send-template", "webhook-received"],
      ["payments.confirm-yookassa", undefined],
    ]);
    expect(jobs[0]?.["payload"]).toMatchObject({
      data: { provider: "stripe", paymentId: "pi_1", amount: { value: "12.50", currency: "EUR" }, test: true },
    });
    expect(jobs[3]?.["payload"]).toMatchObject({
      event: "payment.succeeded",
      objectId: "22d6d597",
      claimed: { status: "succeeded", amount: { value: "2.00", currency: "RUB" } },
      notify: { email: "operator@example.com" },
    });
  });

  test("with text that Postgres cannot hold in its id and type is accepted all the same", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world);
    const body = '{"id":"evt_\\u0000_\\ud800","type":"odd\\u0000\\udfff"}';
    const headers = { ...json, "stripe-signature": stripeHeader(body, undefined, seconds()) };
    expect((await post(running, "stripe", headers, body)).status).toBe(202);
    expect((await post(running, "stripe", headers, body)).body).toMatchObject({ status: "duplicate" });
    expect(await jobsOf(running)).toHaveLength(1);
  });

  test("passes the sender's correlation id and trace on, and makes an id when the sender's is unfit", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world);
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const sent = { ...githubHeaders("{}", "d-1"), "x-correlation-id": "order-7", traceparent };
    const answer = await post(running, "github", sent, "{}");
    expect(answer.headers.get("x-correlation-id")).toBe("order-7");
    const [job] = await jobsOf(running);
    expect(job).toMatchObject({ correlation_id: "order-7", trace: traceparent });

    const unfit = { ...githubHeaders("{}", "d-2"), "x-correlation-id": "a b", traceparent: "00-0-0-0" };
    const other = await post(running, "github", unfit, "{}");
    expect(other.headers.get("x-correlation-id")).toBe(other.body["requestId"]);
    expect((await jobsOf(running))[1]).toMatchObject({ trace: null });
  });
});

describe("the same webhook again", () => {
  test("is acknowledged, says that it is a duplicate, is kept, and makes no second job", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world);
    const first = await post(running, "github", githubHeaders("{}", "d-1"), "{}");
    const second = await post(running, "github", githubHeaders("{}", "d-1"), "{}");
    expect([first.status, second.status]).toEqual([202, 202]);
    expect([first.body["status"], second.body["status"]]).toEqual(["accepted", "duplicate"]);
    expect((await requestsOf(running)).map((request) => request["status"])).toEqual(["accepted", "duplicate"]);
    expect(await jobsOf(running)).toHaveLength(1);
    expect(running.announced).toHaveLength(1);
  });

  test("is another event at another source", async () => {
    await using world = await createWorld();
    await prepare(world);
    const secret = { provider: "github", secrets: ["s"] };
    await using running = await startIngress(world, { sources: { one: secret, two: secret } });
    const headers = githubHeaders("{}", "d-1", "s");
    expect((await post(running, "one", headers, "{}")).body["status"]).toBe("accepted");
    expect((await post(running, "two", headers, "{}")).body["status"]).toBe("accepted");
  });

  test("three times at once over two instances, 200 different ones, is one job each", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using one = await startIngress(world);
    await using two = await startIngress(world);
    const sends: Promise<{ readonly delivery: string; readonly status: number; readonly said: unknown }>[] = [];
    for (let copy = 0; copy < 3; copy++) {
      for (let event = 0; event < 200; event++) {
        // each copy in another order, so that batches of the two instances overlap crosswise
        const delivery = `d-${copy === 1 ? 199 - event : event}`;
        const answer = post((event + copy) % 2 === 0 ? one : two, "github", githubHeaders("{}", delivery), "{}");
        sends.push(answer.then(({ status, body }) => ({ delivery, status, said: body["status"] })));
      }
    }
    const answers = await Promise.all(sends);
    expect(answers.every(({ status }) => status === 202)).toBe(true);
    const accepted = answers.filter(({ said }) => said === "accepted").map(({ delivery }) => delivery);
    expect(new Set(accepted).size).toBe(200);
    expect(accepted).toHaveLength(200);
    expect(await jobsOf(one)).toHaveLength(200);
    expect(await requestsOf(one)).toHaveLength(600);
    expect(one.announced.length + two.announced.length).toBe(200);
  });
});
