import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { sendTemplatePayload } from "@warren/contracts";
import {
  createDeliveries,
  type Deliveries,
  type Ledger,
  LedgerUnavailableError,
  migrate,
  openLedger,
} from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { ProviderBreakerOpenError, ProviderTimeoutError } from "@warren/resilience";
import { createWorld, type World, waitFor } from "@warren/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MailProvider } from "../src/mail-provider.ts";
import { sendTemplateHandler } from "../src/send-template.ts";
import type { Mail } from "../src/smtp-pool.ts";
import { openTemplates } from "../src/templates.ts";

const log = createLogger({ service: "test", level: "silent" });
const templates = await openTemplates({
  directory: fileURLToPath(new URL("../templates", import.meta.url)),
  timeZone: "UTC",
});
const facts = { provider: "smtp", operation: "send" };
let world: World;
let ledger: Ledger;
let deliveries: Deliveries;

beforeAll(async () => {
  world = await createWorld();
  await migrate({ connectionString: world.databaseUrl, log });
  ledger = await openLedger({ connectionString: world.databaseUrl, log });
  deliveries = createDeliveries(ledger);
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

type Send = MailProvider["send"];
const accepts: Send = () => Promise.resolve({ kind: "accepted", response: "250 queued as abcd", providerId: "abcd" });

/** One job and its worker: `run(fence)` is one attempt of it. */
function job(options: { unknownPolicy?: "resend" | "hold" | "give_up"; send?: Send; deliveries?: Deliveries } = {}) {
  const id = randomUUID();
  const sent: Mail[] = [];
  const outcomes: string[] = [];
  const send = options.send ?? accepts;
  const mail = {
    operation: { provider: "smtp", name: "send" },
    send: (one: Mail, handover: { complete: boolean }, signal: AbortSignal) => {
      sent.push(one);
      return send(one, handover, signal);
    },
  } as unknown as MailProvider;
  const stop = new AbortController();
  const attempt = (given: Deliveries) =>
    sendTemplateHandler({
      templates,
      deliveries: given,
      mail,
      metrics: { count: (_channel, outcome) => void outcomes.push(outcome) },
      unknownPolicy: options.unknownPolicy ?? "resend",
      messageIdDomain: "example.com",
      recipientHashKey: "secret-key",
    });
  const payload = sendTemplatePayload.parse({
    user: { id: "1", email: "anna@example.com" },
    template: "welcome",
    templateVersion: 1,
    data: { product: "Warren" },
  });
  const facts = { id, payload, correlationId: randomUUID(), signal: stop.signal, log };
  return {
    id,
    sent,
    outcomes,
    stop,
    run: (fence: number, given = options.deliveries ?? deliveries) => attempt(given)({ ...facts, fence }),
    delivery: async () => (await deliveries.ofJob(id))[0],
  };
}

/** A process that dies right after the provider has answered. */
const dyingBeforeSettle = (): Deliveries => ({
  ...deliveries,
  settle: () => Promise.reject(new Error("the process was killed here")),
});

describe("an attempt that dies between sending and settling", () => {
  test("is resent under the same Message-ID where a double is better than a loss", async () => {
    const one = job({ unknownPolicy: "resend" });
    await expect(one.run(1, dyingBeforeSettle())).rejects.toThrow("killed");
    expect(await one.delivery()).toMatchObject({ state: "sending" });
    expect(await one.run(2)).toMatchObject({ outcome: "accepted" });
    expect(one.sent.map(({ messageId }) => messageId)).toEqual(
      Array.from({ length: 2 }, () => `<${one.id}.email@example.com>`),
    );
    expect(await one.delivery()).toMatchObject({ state: "accepted", tries: 2, doubts: 1 });
    expect(one.outcomes).toContain("unknown");
  });

  test("is left to a person where the policy is to hold, and goes on as decided", async () => {
    const one = job({ unknownPolicy: "hold" });
    await expect(one.run(1, dyingBeforeSettle())).rejects.toThrow("killed");
    await expect(one.run(2)).rejects.toMatchObject({ code: "DELIVERY_HELD", retryable: false });
    expect(one.sent).toHaveLength(1);
    await deliveries.resolve(one.id, "email", "deferred");
    expect(await one.run(3)).toMatchObject({ outcome: "accepted" });
    expect(one.sent).toHaveLength(2);
  });

  test("is never sent again where a double is worse than a loss", async () => {
    const one = job({ unknownPolicy: "give_up" });
    await expect(one.run(1, dyingBeforeSettle())).rejects.toThrow("killed");
    expect(await one.run(2)).toMatchObject({ outcome: "given_up" });
    expect(await one.run(3)).toMatchObject({ outcome: "given_up" });
    expect(one.sent).toHaveLength(1);
  });
});

describe("a job that runs twice", () => {
  test("sends once: the second run finds the accepted delivery", async () => {
    const one = job();
    const [first, second] = [await one.run(1), await one.run(2)];
    expect(first.outcome).toBe("accepted");
    expect(second).toEqual({ ...first, outcome: "accepted_before" });
    expect(one.sent).toHaveLength(1);
  });

  test("at the same time leaves the sending to the newer attempt, and an old answer does no harm", async () => {
    const arrived = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<Awaited<ReturnType<Send>>>();
    let calls = 0;
    const one = job({
      send: (...given) => {
        calls += 1;
        if (calls > 1) return accepts(...given);
        arrived.resolve();
        return answer.promise;
      },
    });
    const suspended = one.run(1);
    await arrived.promise;
    expect(await one.run(2)).toMatchObject({ outcome: "accepted" });
    answer.resolve({ kind: "deferred", response: "451 later" });
    await expect(suspended).rejects.toMatchObject({ code: "MAIL_DEFERRED" });
    expect(await one.delivery()).toMatchObject({ state: "accepted", attempt: 2 });
    await expect(one.run(1)).resolves.toMatchObject({ outcome: "accepted_before" });
  });
});

describe("the ledger away", () => {
  test("while an accepted mail is to be settled: it is settled later, and not sent again", async () => {
    let failures = 3;
    const one = job({
      deliveries: {
        ...createDeliveries(ledger),
        begin: (delivery) => deliveries.begin(delivery),
        settle: (settlement) => {
          failures -= 1;
          return failures >= 0 ? Promise.reject(new LedgerUnavailableError("away")) : deliveries.settle(settlement);
        },
      },
    });
    expect(await one.run(1)).toMatchObject({ outcome: "accepted" });
    expect(one.sent).toHaveLength(1);
    expect(await one.delivery()).toMatchObject({ state: "accepted" });
  });

  test("before anything was sent: nothing is sent", async () => {
    const one = job({ deliveries: { ...deliveries, begin: () => Promise.reject(new LedgerUnavailableError("away")) } });
    await expect(one.run(1)).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE", retryable: true });
    expect(one.sent).toEqual([]);
  });
});

describe("a failure of the provider reaches the worker as it is", () => {
  test.for([
    { when: "the breaker is open", error: new ProviderBreakerOpenError(facts), complete: false, state: "deferred" },
    {
      when: "the time was up before the message",
      error: new ProviderTimeoutError(10, facts),
      complete: false,
      state: "deferred",
    },
    {
      when: "the time was up after the message",
      error: new ProviderTimeoutError(10, facts),
      complete: true,
      state: "unknown",
    },
  ])("when $when, and the delivery is $state", async ({ error, complete, state }) => {
    const one = job({
      send: (_mail, handover) => {
        handover.complete = complete;
        return Promise.reject(error);
      },
    });
    await expect(one.run(1)).rejects.toBe(error);
    expect(await one.delivery()).toMatchObject({ state, reason: error.code });
  });

  test("a refusal names the provider, so that a probe of the breaker counts it as an answer", async () => {
    const one = job({ send: () => Promise.resolve({ kind: "rejected", response: "550 no such user" }) });
    await expect(one.run(1)).rejects.toMatchObject({
      code: "DELIVERY_REJECTED",
      retryable: false,
      cause: { code: "PROVIDER_REJECTED" },
    });
    await expect(one.run(2)).rejects.toMatchObject({ code: "DELIVERY_REJECTED" });
    expect(one.sent).toHaveLength(1);
  });

  test("a worker that stops notes what it knows, so that the next one need not guess", async () => {
    const one = job({
      send: (_mail, _handover, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        }),
    });
    const running = one.run(1);
    await waitFor(() => one.sent.length === 1);
    one.stop.abort(new Error("stopping"));
    await expect(running).rejects.toThrow("stopping");
    expect(await one.delivery()).toMatchObject({ state: "deferred" });
  });
});
