import { sendTemplate } from "@warren/contracts";
import { sendTemplateEmail } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { startPlatform } from "./platform.ts";

const quickBreaker = {
  WARREN_SMTP_BREAKER_FAILURES: "3",
  WARREN_SMTP_BREAKER_OPEN_MS: "300",
  WARREN_SMTP_BREAKER_MAX_OPEN_MS: "300",
  WARREN_SMTP_CONNECT_TIMEOUT_MS: "1000",
};

describe("a mail", () => {
  test("goes out once, with its headers, and the delivery says so", async () => {
    await using platform = await startPlatform();
    const user = { id: "7", email: "anna@example.com", locale: "ru", name: "Анна" };
    const { id } = await platform.client.enqueue(
      sendTemplateEmail,
      sendTemplate(user, "payment-succeeded", {
        provider: "YooKassa",
        paymentId: "22d6d597",
        amount: { value: "1234.50", currency: "RUB" },
        paidAt: "2026-11-22T05:00:00Z",
        description: "<b>Книга</b>",
      }),
      { correlationId: "from-the-request" },
    );
    const [job] = await platform.finished([id]);
    const [mail] = platform.sink.messages();

    expect(job).toMatchObject({ state: "succeeded", attempt: 1, result: { outcome: "accepted", channel: "email" } });
    expect(platform.sink.messages()).toHaveLength(1);
    expect(mail).toMatchObject({
      from: "no-reply@localhost",
      to: ["anna@example.com"],
      messageId: `<${id}.email@localhost>`,
      correlationId: "from-the-request",
    });
    expect(mail?.subject.replaceAll(/\s/gu, " ")).toBe("Оплата получена: 1 234,50 ₽");
    const raw = String(await platform.sink.raw(mail?.id ?? 0));
    expect(raw).toContain(`X-Warren-Job: ${id}`);
    expect(raw).toContain("Auto-Submitted: auto-generated");
    expect(raw).toContain("multipart/alternative");

    expect(await platform.deliveries.ofJob(id)).toMatchObject([
      {
        state: "accepted",
        recipient: "a***@e***.com",
        template: "payment-succeeded",
        templateVersion: 1,
        locale: "ru",
        provider: "smtp",
        tries: 1,
        doubts: 0,
        correlationId: "from-the-request",
        messageId: `<${id}.email@localhost>`,
      },
    ]);
    expect(await platform.metricsText()).toMatch(/warren_deliveries_total\{[^}]*outcome="accepted"[^}]*\} 1/);
  });

  test("cannot be given a second recipient or a header by a name with line breaks", async () => {
    await using platform = await startPlatform();
    const name = "Eve\r\nBcc: victim@example.com\r\n\r\nbody, <other@example.com>";
    const [id = ""] = await platform.send(1, { user: { id: "1", email: "eve@example.com", name } });
    await platform.finished([id]);
    const [mail] = platform.sink.messages();
    expect(mail?.to).toEqual(["eve@example.com"]);
    expect(String(await platform.sink.raw(mail?.id ?? 0))).not.toMatch(/^Bcc:/im);
  });

  test.for([
    { when: "an unknown template", fields: { template: "nope" }, reason: "TEMPLATE_UNKNOWN" },
    { when: "missing data", fields: { templateVersion: 2 }, reason: "TEMPLATE_DATA_INVALID" },
    {
      when: "no language",
      fields: { user: { id: "1", email: "a@example.com", locale: "not a locale" } },
      reason: "TEMPLATE_LOCALE_INVALID",
    },
  ])("with $when is dead at once, without a delivery", async ({ fields, reason }) => {
    await using platform = await startPlatform();
    const ids = await platform.send(1, fields);
    expect(await platform.finished(ids)).toMatchObject([{ state: "dead", reason, attempt: 1 }]);
    expect(await platform.deliveries.ofJob(ids[0] ?? "")).toEqual([]);
    expect(platform.sink.messages()).toEqual([]);
  });
});

describe("a mail server that refuses", () => {
  test("one recipient for good ends that mail, and neither the others nor the breaker", async () => {
    await using platform = await startPlatform(quickBreaker);
    await platform.sink.setFault({ kind: "reject", code: 550, stage: "rcpt", times: 6 });
    const refused = await platform.finished(await platform.send(6));
    const fine = await platform.finished(await platform.send(6));
    expect(refused.map(({ state, reason, attempt }) => [state, reason, attempt])).toEqual(
      Array.from({ length: 6 }, () => ["dead", "DELIVERY_REJECTED", 1]),
    );
    expect(fine.every(({ state }) => state === "succeeded")).toBe(true);
    expect(await platform.deliveries.ofJob(refused[0]?.id ?? "")).toMatchObject([
      { state: "rejected", reason: "DELIVERY_REJECTED", response: expect.stringContaining("550") },
    ]);
  });

  test("a mail for now is asked again", async () => {
    await using platform = await startPlatform();
    await platform.sink.setFault({ kind: "reject", code: 451, stage: "data", times: 1 });
    const [job] = await platform.finished(await platform.send(1));
    expect(job).toMatchObject({ state: "succeeded", attempt: 2, errors: [{ code: "MAIL_DEFERRED" }] });
    expect(await platform.deliveries.ofJob(job?.id ?? "")).toMatchObject([{ state: "accepted", tries: 2, doubts: 0 }]);
    expect(platform.sink.messages()).toHaveLength(1);
  });
});

describe("a mail server that is away", () => {
  test("opens the breaker; held mails burn no attempts, and all go out once after its return", async () => {
    await using platform = await startPlatform({ ...quickBreaker, WARREN_MAIL_CONCURRENCY: "4" });
    await platform.sink.setFault({ kind: "down" });
    const ids = await platform.send(60);
    await waitFor(async () => (await platform.ledger.breakers()).some(({ state }) => state.kind !== "closed"), {
      what: "the breaker to open",
    });
    const health = await platform.health.healthz();
    expect(health.httpStatus).toBe(200);
    expect(health.body.checks.smtp?.status).toBe("degraded");
    await waitFor(
      async () =>
        (await Promise.all(ids.map((id) => platform.ledger.findJob(id)))).some((job) => job?.heldBy === "smtp:send"),
      { what: "a held job" },
    );

    await platform.sink.setFault({ kind: "none" });
    const jobs = await platform.finished(ids);
    expect(jobs.every(({ state }) => state === "succeeded")).toBe(true);
    expect(platform.sink.counts()).toMatchObject({ messages: 60, uniqueMessageIds: 60 });
    // what was under way when it went down may have failed once; a held job has burnt nothing
    const burnt = jobs.map(({ attempt, excused }) => attempt - excused - 1);
    expect(Math.max(...burnt)).toBeLessThanOrEqual(1);
    expect(burnt.filter((count) => count > 0).length).toBeLessThanOrEqual(8);
  });

  test("or slow, within the time limit, delays mails and doubles none", async () => {
    await using platform = await startPlatform();
    await platform.sink.setFault({ kind: "slow", delayMs: 400 });
    const jobs = await platform.finished(await platform.send(20));
    expect(jobs.every(({ state, attempt }) => state === "succeeded" && attempt === 1)).toBe(true);
    expect(platform.sink.counts()).toMatchObject({ messages: 20, uniqueMessageIds: 20 });
  });
});

describe("a mail whose answer never came", () => {
  test.for([
    { policy: "resend", mails: 2, state: "succeeded", delivery: { state: "accepted", tries: 2, doubts: 1 } },
    { policy: "hold", mails: 1, state: "dead", delivery: { state: "unknown", tries: 1, doubts: 1 } },
    { policy: "give_up", mails: 1, state: "succeeded", delivery: { state: "given_up", tries: 1, doubts: 1 } },
  ])("goes by the policy: $policy", async ({ policy, mails, state, delivery }) => {
    await using platform = await startPlatform({ WARREN_MAIL_UNKNOWN: policy });
    await platform.sink.setFault({ kind: "drop", keep: true, times: 1 });
    const [job] = await platform.finished(await platform.send(1));
    expect(job?.state).toBe(state);
    expect(await platform.deliveries.ofJob(job?.id ?? "")).toMatchObject([delivery]);
    // a double carries the same Message-ID, so that mail programs and people can tell
    expect(platform.sink.counts()).toMatchObject({ messages: mails, uniqueMessageIds: 1 });
  });

  test("because the time was up is unknown, not failed", async () => {
    await using platform = await startPlatform({ WARREN_SMTP_TIMEOUT_MS: "2500", WARREN_MAIL_UNKNOWN: "hold" });
    await platform.sink.setFault({ kind: "slow", delayMs: 6_000, times: 1 });
    const [job] = await platform.finished(await platform.send(1));
    expect(job).toMatchObject({ state: "dead", reason: "DELIVERY_HELD" });
    expect(await platform.deliveries.ofJob(job?.id ?? "")).toMatchObject([
      { state: "unknown", log: [{ outcome: "unknown", reason: "PROVIDER_TIMEOUT" }] },
    ]);
  });
});

test("a thousand mails go out once each", async () => {
  await using platform = await startPlatform();
  const ids = await platform.send(1_000);
  await waitFor(() => platform.sink.counts().messages >= 1_000, { what: "1,000 mails", timeoutMs: 50_000 });
  const jobs = await platform.finished(ids);
  expect(jobs.every(({ state, attempt }) => state === "succeeded" && attempt === 1)).toBe(true);
  expect(platform.sink.counts()).toMatchObject({ messages: 1_000, uniqueMessageIds: 1_000 });
});
