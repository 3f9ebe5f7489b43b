import { type ConfirmYookassaPayload, confirmYookassaResult } from "@warren/contracts";
import { waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { startPlatform } from "./platform.ts";

const anna = { id: "7", email: "anna@example.com", locale: "ru" };

function notification(
  objectId: string,
  status: "succeeded" | "waiting_for_capture" | "canceled" = "succeeded",
  fields: Partial<ConfirmYookassaPayload> = {},
): ConfirmYookassaPayload {
  return {
    event: `payment.${status}`,
    objectId,
    claimed: { status, amount: { value: "100.00", currency: "RUB" } },
    notify: anna,
    ...fields,
  };
}

describe("a notification that YooKassa confirms", () => {
  test("records the payment, enqueues the receipt and completes the job, all in one", async () => {
    await using platform = await startPlatform();
    const id = platform.pay("succeeded");
    const [job] = await platform.finished(await platform.notify(notification(id)));
    expect(job).toMatchObject({
      state: "succeeded",
      attempt: 1,
      result: { paymentId: id, status: "succeeded", change: "recorded", mailJobId: expect.any(String) },
    });
    expect(await platform.recorded(id)).toMatchObject({
      status: "succeeded",
      amount: "100.0000",
      currency: "RUB",
      log: [{ status: "succeeded", job: job?.id }],
    });
    expect(await platform.mails()).toEqual([
      { template: "payment-succeeded", status: undefined, email: "anna@example.com" },
    ]);
    const { mailJobId } = confirmYookassaResult.parse(job?.result);
    const mail = await platform.ledger.findJob(mailJobId ?? "");
    expect(mail?.correlationId).toBe(job?.correlationId);
    expect(platform.yookassa.calls()).toMatchObject([{ method: "GET" }]);
  });

  test("twenty times at once records it once and enqueues one receipt", async () => {
    await using platform = await startPlatform();
    const id = platform.pay("succeeded");
    const jobs = await platform.finished(await platform.notify(...Array.from({ length: 20 }, () => notification(id))));
    expect(jobs.every(({ state }) => state === "succeeded")).toBe(true);
    const changes = jobs.map(({ result }) => (result as { change: string }).change);
    expect(changes.filter((change) => change === "recorded")).toHaveLength(1);
    expect(await platform.mails()).toHaveLength(1);
  });

  test("late, after the payment went on, never moves it back and sends nothing more", async () => {
    await using platform = await startPlatform();
    const id = platform.pay("succeeded");
    await platform.finished(await platform.notify(notification(id)));
    const [late] = await platform.finished(await platform.notify(notification(id, "waiting_for_capture")));
    expect(late).toMatchObject({ state: "succeeded", result: { status: "succeeded", change: "unchanged" } });
    expect(await platform.recorded(id)).toMatchObject({ status: "succeeded" });
    expect(await platform.mails()).toHaveLength(1);
  });

  test("of a payment that is canceled says so to the payer, and without an address to nobody", async () => {
    await using platform = await startPlatform();
    const [told, untold] = [platform.pay("canceled"), platform.pay("canceled")];
    const { notify: _nobody, ...silent } = notification(untold, "canceled");
    const jobs = await platform.finished(await platform.notify(notification(told, "canceled"), silent));
    expect(jobs.every(({ state }) => state === "succeeded")).toBe(true);
    expect(await platform.recorded(untold)).toMatchObject({ status: "canceled" });
    expect(await platform.mails()).toEqual([
      { template: "payment-status", status: "canceled", email: "anna@example.com" },
    ]);
  });
});

describe("a notification that YooKassa does not confirm is dead, records nothing and mails nobody", () => {
  test.for([
    {
      when: "the amount is another",
      status: "succeeded" as const,
      fields: { claimed: { status: "succeeded", amount: { value: "1.00", currency: "RUB" } } },
      reason: "PAYMENT_MISMATCH",
    },
    { when: "the payment was canceled", status: "canceled" as const, fields: {}, reason: "PAYMENT_MISMATCH" },
    {
      when: "YooKassa knows no such payment",
      status: "succeeded" as const,
      fields: { objectId: "00000000-000f-5000-8000-000000000000" },
      reason: "PAYMENT_NOT_FOUND",
    },
  ])("when $when", async ({ status, fields, reason }) => {
    await using platform = await startPlatform();
    const id = platform.pay(status);
    const [job] = await platform.finished(await platform.notify(notification(id, "succeeded", fields)));
    expect(job).toMatchObject({ state: "dead", reason, attempt: 1 });
    expect(await platform.recorded(id)).toBeUndefined();
    expect(await platform.mails()).toEqual([]);
  });

  test("but one that is ahead of YooKassa's API is asked again until the API has caught up", async () => {
    await using platform = await startPlatform();
    const id = platform.pay("pending");
    const [jobId = ""] = await platform.notify(notification(id));
    await waitFor(async () => (await platform.ledger.findJob(jobId))?.state === "retrying", {
      what: "the first answer",
    });
    platform.yookassa.seed([{ id, status: "succeeded", amount: { value: "100.00", currency: "RUB" } }]);
    const [job] = await platform.finished([jobId]);
    expect(job).toMatchObject({ state: "succeeded", errors: [{ code: "PAYMENT_BEHIND" }] });
    expect(await platform.mails()).toHaveLength(1);
  });
});

describe("YooKassa's API", () => {
  test.for([
    { fault: { kind: "error", status: 500, times: 3 } },
    { fault: { kind: "drop", times: 3 } },
    { fault: { kind: "rate-limit", retryAfterSeconds: 1, times: 1 } },
  ] as const)("failing for a while ($fault.kind) delays the job and doubles nothing", async ({ fault }) => {
    await using platform = await startPlatform();
    platform.yookassa.setFault(fault);
    const id = platform.pay("succeeded");
    const [job] = await platform.finished(await platform.notify(notification(id)));
    expect(job?.state).toBe("succeeded");
    expect(await platform.mails()).toHaveLength(1);
  });

  test("slow beyond the time limit is given up and asked again", async () => {
    await using platform = await startPlatform({ WARREN_YOOKASSA_TIMEOUT_MS: "300" });
    platform.yookassa.setFault({ kind: "slow", delayMs: 2_000, times: 2 });
    const id = platform.pay("succeeded");
    const [job] = await platform.finished(await platform.notify(notification(id)));
    expect(job).toMatchObject({ state: "succeeded", errors: [{ code: "PROVIDER_TIMEOUT" }] });
  });

  test.for([
    { when: "down", fault: { kind: "error", status: 503 }, settings: {} },
    { when: "refusing our keys", fault: { kind: "none" }, settings: { WARREN_YOOKASSA_SECRET_KEY: "wrong" } },
  ] as const)("$when opens the breaker and holds the jobs instead of ending them", async ({ fault, settings }) => {
    await using platform = await startPlatform({
      WARREN_YOOKASSA_BREAKER_FAILURES: "2",
      WARREN_PAYMENTS_CONCURRENCY: "2",
      ...settings,
    });
    platform.yookassa.setFault(fault);
    const ids = await platform.notify(...Array.from({ length: 10 }, () => notification(platform.pay("succeeded"))));
    const held = await waitFor(
      async () => {
        const jobs = await Promise.all(ids.map((id) => platform.ledger.findJob(id)));
        return jobs.filter((job) => job?.heldBy === "yookassa:get-payment").length >= 6 ? jobs : undefined;
      },
      { what: "held jobs" },
    );
    expect(held.every((job) => job?.finishedAt === undefined)).toBe(true);
    expect(held.filter((job) => job?.heldBy !== undefined && job.attempt - job.excused > 1)).toEqual([]);
  });
});

test("a job whose lease was lost in mid-transaction commits nothing of it", async () => {
  await using platform = await startPlatform();
  const { ledger } = platform;
  const id = platform.pay("succeeded");
  const payments = ledger.table("payments");
  await ledger.transaction(async (run) => {
    await run(`lock table ${payments} in share mode`, []);
    const [jobId = ""] = await platform.notify(notification(id));
    const waiting = "select from pg_locks where relation = $1::regclass and not granted";
    await waitFor(async () => (await ledger.query(waiting, [payments])).rows.length === 1, {
      what: "the handler's transaction to wait for the lock",
    });
    const running = await ledger.findJob(jobId);
    // the worker may still hold the message, and must not begin the next attempt before this one is over
    await ledger.limits.pause(running?.queue ?? "", {});
    // the dispatcher takes the job away from a worker that it holds for dead
    await waitFor(async () => {
      const beat = (await ledger.beats()).find((one) => one.id === running?.workerId);
      return beat !== undefined && (await ledger.expireWorker(beat)).expired;
    });
  });
  await waitFor(async () => /warren_job_attempts_total\{.*outcome="fenced".*\} 1/.test(await platform.metricsText()), {
    what: "the refused completion",
  });
  expect(await platform.recorded(id)).toBeUndefined();
  expect(await platform.mails()).toEqual([]);
});
