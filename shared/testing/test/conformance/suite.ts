import {
  type Client,
  defineEvent,
  defineJob,
  handle,
  type JobHandler,
  NonRetryableError,
  type Subscription,
  snooze,
  subscribe,
  type UniqueOptions,
} from "@warren/jobs";
import type { JobRecord, RunSql } from "@warren/ledger";
import { expect, test } from "vitest";
import { z } from "zod";

/** A way to run jobs: the fake in one of its modes, or the real thing. */
export interface Harness extends AsyncDisposable {
  readonly client: Client;
  /** Runs everything, what waits for its time included. */
  settle(): Promise<void>;
  /** Runs what is due. */
  settleDue(): Promise<void>;
  job(id: string): Promise<JobRecord | undefined>;
  transaction<T>(work: (tx: RunSql) => Promise<T>): Promise<T>;
  /** Nothing that is enqueued in `work` starts before all of it is. */
  together<T>(work: () => Promise<T>): Promise<T>;
}

export interface HarnessOptions {
  readonly handlers: readonly JobHandler[];
  readonly subscriptions?: readonly Subscription[];
}

class Refused extends Error {}

const soon = { kind: "fixed", delayMs: 20 } as const;
const note = defineJob({
  name: "note",
  payload: z.object({ text: z.string().min(1) }),
  result: z.object({ length: z.number() }),
});

const noted = (texts: string[]): JobHandler =>
  handle(note, ({ payload }) => {
    texts.push(payload.text);
    return { length: payload.text.length };
  });

async function recordOf(harness: Harness, id: string): Promise<JobRecord> {
  const job = await harness.job(id);
  if (job === undefined) throw new Error(`job ${id} is gone`);
  return job;
}

/** What must hold of every way to run jobs. */
export function conformance(open: (options: HarnessOptions) => Promise<Harness>): void {
  test("a job is handled once, with its payload, and its result is kept", async () => {
    const texts: string[] = [];
    await using harness = await open({ handlers: [noted(texts)] });
    const { id, created } = await harness.client.enqueue(note, { text: "hello" });
    await harness.settle();
    expect(await harness.job(id)).toMatchObject({
      state: "succeeded",
      result: { length: 5 },
      attempt: 1,
      errors: [],
      payload: { text: "hello" },
    });
    expect([created, texts]).toEqual([true, ["hello"]]);
  });

  test("a payload or option that does not fit is refused, and nothing runs", async () => {
    const texts: string[] = [];
    await using harness = await open({ handlers: [noted(texts)] });
    const { client } = harness;
    await expect(client.enqueue(note, { text: "" })).rejects.toMatchObject({
      code: "JOB_PAYLOAD_INVALID",
      details: { path: "text" },
    });
    await expect(
      client.enqueueMany(note, [{ payload: { text: "a" } }, { payload: { text: "" } }]),
    ).rejects.toMatchObject({ code: "JOB_PAYLOAD_INVALID" });
    await expect(client.enqueue(note, { text: "a" }, { delay: 5 } as never)).rejects.toMatchObject({
      code: "JOB_OPTION_UNKNOWN",
    });
    await expect(client.enqueue(note, { text: "a" }, { delayMs: Number.NaN })).rejects.toMatchObject({
      code: "JOB_OPTION_INVALID",
    });
    await harness.settle();
    expect(texts).toEqual([]);
  });

  test("handlers get the payload as it came through JSON, in the form of the schema", async () => {
    const dated = defineJob({
      name: "dated",
      payload: z.object({ at: z.coerce.date(), note: z.string().default("none") }),
    });
    const seen: unknown[] = [];
    await using harness = await open({ handlers: [handle(dated, ({ payload }) => void seen.push(payload))] });
    const payload = { at: new Date("2026-01-02T03:04:05Z"), extra: undefined };
    await harness.client.enqueue(dated, payload);
    await harness.settle();
    expect(seen).toEqual([{ at: payload.at, note: "none" }]);
  });

  test("a job that fails is tried again until its attempts are spent, and keeps its errors", async () => {
    const failing = defineJob({ name: "failing", payload: z.object({}), attempts: 3, backoff: soon });
    const attempts: number[] = [];
    await using harness = await open({
      handlers: [
        handle(failing, ({ attempt }) => {
          attempts.push(attempt);
          throw new Error(`attempt ${attempt}`);
        }),
      ],
    });
    const { id } = await harness.client.enqueue(failing, {});
    await harness.settle();
    const job = await harness.job(id);
    expect(job).toMatchObject({ state: "dead", reason: "JOB_ATTEMPTS_EXHAUSTED", attempt: 3 });
    expect(job?.errors.map(({ attempt, message }) => [attempt, message])).toEqual([
      [1, "attempt 1"],
      [2, "attempt 2"],
      [3, "attempt 3"],
    ]);
    expect(attempts).toEqual([1, 2, 3]);
  });

  test("a job waits for its backoff", async () => {
    const slow = defineJob({
      name: "slow",
      payload: z.object({}),
      attempts: 2,
      backoff: { kind: "fixed", delayMs: 3_600_000 },
    });
    await using harness = await open({
      handlers: [
        handle(slow, ({ attempt }) => {
          if (attempt === 1) throw new Error("not yet");
        }),
      ],
    });
    const { id } = await harness.client.enqueue(slow, {});
    await harness.settleDue();
    const waiting = await harness.job(id);
    expect([waiting?.state, waiting?.attempt]).toEqual(["retrying", 1]);
    await harness.settle();
    expect((await harness.job(id))?.state).toBe("succeeded");
  });

  test("an error that cannot be mended by trying again ends the job at once, with its reason", async () => {
    const card = defineJob({ name: "card", payload: z.object({}), attempts: 5 });
    await using harness = await open({
      handlers: [
        handle(card, () => {
          throw new NonRetryableError("stolen", { reason: "CARD_STOLEN" });
        }),
      ],
    });
    const { id } = await harness.client.enqueue(card, {});
    await harness.settle();
    expect(await harness.job(id)).toMatchObject({ state: "dead", reason: "CARD_STOLEN", attempt: 1 });
  });

  test("a snooze runs the job again without using up an attempt", async () => {
    const patient = defineJob({ name: "patient", payload: z.object({}), attempts: 1 });
    const attempts: number[] = [];
    await using harness = await open({
      handlers: [
        handle(patient, ({ attempt, fence }) => {
          attempts.push(attempt);
          if (fence < 3) snooze(20);
        }),
      ],
    });
    const { id } = await harness.client.enqueue(patient, {});
    await harness.settle();
    expect(await harness.job(id)).toMatchObject({ state: "succeeded", attempt: 3, excused: 2 });
    expect(attempts).toEqual([1, 1, 1]);
  });

  test("a handler past its time hears of it, and the attempt has failed", async () => {
    const late = defineJob({ name: "late", payload: z.object({}), attempts: 1, timeoutMs: 40 });
    await using harness = await open({
      handlers: [
        handle(late, async ({ signal }) => {
          await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
        }),
      ],
    });
    const { id } = await harness.client.enqueue(late, {});
    await harness.settle();
    const job = await harness.job(id);
    expect([job?.state, job?.errors.map(({ code }) => code)]).toEqual(["dead", ["JOB_TIMEOUT"]]);
  });

  test("a result that does not fit ends the job", async () => {
    await using harness = await open({ handlers: [handle(note, () => ({ length: "long" }) as never)] });
    const { id } = await harness.client.enqueue(note, { text: "a" });
    await harness.settle();
    expect(await harness.job(id)).toMatchObject({ state: "dead", reason: "JOB_RESULT_INVALID" });
  });

  test("an id of the caller's choice makes one job, also after it has finished", async () => {
    const texts: string[] = [];
    await using harness = await open({ handlers: [noted(texts)] });
    const first = await harness.client.enqueue(note, { text: "first" }, { id: "one" });
    await harness.settle();
    const second = await harness.client.enqueue(note, { text: "second" }, { id: "one" });
    await harness.settle();
    expect([second.created, second.id, second.state, texts]).toEqual([false, first.id, "succeeded", ["first"]]);
    expect((await harness.job(first.id))?.key).toBe("one");
  });

  test("a unique job keeps others away until it is finished, by each of its ways", async () => {
    const texts: string[] = [];
    await using harness = await open({ handlers: [noted(texts)] });
    const enqueue = (text: string, unique: UniqueOptions) =>
      harness.client.enqueue(note, { text }, { unique, delayMs: 60_000 });
    const ignored = [await enqueue("a1", { key: "a" }), await enqueue("a2", { key: "a" })];
    const replaced = [await enqueue("b1", { key: "b" }), await enqueue("b2", { key: "b", onConflict: "replace" })];
    const extended = [await enqueue("c1", { key: "c" }), await enqueue("c2", { key: "c", onConflict: "extend" })];
    expect(
      [ignored, replaced, extended].map(([one, two]) => [two?.id === one?.id, two?.created, two?.deduplicated]),
    ).toEqual([
      [true, false, "ignored"],
      [true, false, "replaced"],
      [true, false, "extended"],
    ]);
    await harness.settle();
    expect(texts.toSorted()).toEqual(["a1", "b2", "c2"]);
    expect((await enqueue("a3", { key: "a" })).created).toBe(true);
    await harness.settle();
    expect(texts).toHaveLength(4);
  });

  test("keep-last runs once more, with the latest payload, after the job that runs", async () => {
    const sync = defineJob({
      name: "sync",
      payload: z.object({ round: z.number() }),
      unique: { by: () => "all", onConflict: "keep-last" },
    });
    const rounds: number[] = [];
    const answers: unknown[] = [];
    await using harness = await open({
      handlers: [
        handle(sync, async (job) => {
          rounds.push(job.payload.round);
          if (job.payload.round > 1) return;
          answers.push(
            (await job.enqueue(sync, { round: 2 })).deduplicated,
            (await job.enqueue(sync, { round: 3 })).deduplicated,
          );
        }),
      ],
    });
    await harness.client.enqueue(sync, { round: 1 });
    await harness.settle();
    expect([rounds, answers]).toEqual([
      [1, 3],
      ["kept", "kept"],
    ]);
  });

  test("a unique key can be let go by hand", async () => {
    await using harness = await open({ handlers: [noted([])] });
    const enqueue = () => harness.client.enqueue(note, { text: "a" }, { unique: { key: "k" }, delayMs: 60_000 });
    await enqueue();
    expect([
      await harness.client.releaseUnique(note, "k"),
      await harness.client.releaseUnique(note, "k"),
      (await enqueue()).created,
    ]).toEqual([true, false, true]);
  });

  test("a delayed job does not run before its time; it can be run now, put off, and called off", async () => {
    const texts: string[] = [];
    await using harness = await open({ handlers: [noted(texts)] });
    const { client } = harness;
    const later = (text: string) => client.enqueue(note, { text }, { delayMs: 3_600_000 });
    const [now, put, off] = [await later("now"), await later("put off"), await later("off")];
    await harness.settleDue();
    expect([now.state, texts]).toEqual(["scheduled", []]);
    await client.delayed.runNow(now.id);
    await client.delayed.cancel(off.id, { reason: "CHANGED_MIND" });
    const at = new Date((await recordOf(harness, put.id)).runAt.getTime() + 60_000);
    expect((await client.delayed.reschedule(put.id, { at })).runAt).toEqual(at);
    await harness.settleDue();
    expect(texts).toEqual(["now"]);
    expect(await harness.job(off.id)).toMatchObject({ state: "cancelled", reason: "CHANGED_MIND" });
    await expect(client.delayed.cancel(off.id)).rejects.toMatchObject({
      code: "JOB_NOT_WAITING",
      details: { state: "cancelled" },
    });
    await harness.settle();
    expect(texts).toEqual(["now", "put off"]);
  });

  test("of jobs that wait, higher priorities run first, and equal ones in their order", async () => {
    const texts: string[] = [];
    await using harness = await open({ handlers: [noted(texts)] });
    const items = [
      ["low", 0],
      ["high", 9],
      ["middle 1", 5],
      ["middle 2", 5],
    ] as const;
    await harness.together(() =>
      harness.client.enqueueMany(
        note,
        items.map(([text, priority]) => ({ payload: { text }, priority })),
      ),
    );
    await harness.settle();
    expect(texts).toEqual(["high", "middle 1", "middle 2", "low"]);
  });

  test("what a handler enqueues runs too, and inherits the correlation id", async () => {
    const parent = defineJob({ name: "parent", payload: z.object({}) });
    const ids: string[] = [];
    const child = defineJob({ name: "child", payload: z.object({}) });
    await using harness = await open({
      handlers: [
        handle(parent, async (job) => void (await job.enqueue(child, {}))),
        handle(child, ({ correlationId }) => void ids.push(correlationId)),
      ],
    });
    await harness.client.enqueue(parent, {}, { correlationId: "request-7" });
    await harness.settle();
    expect(ids).toEqual(["request-7"]);
  });

  test("jobs of a transaction are there with its commit, and never without", async () => {
    const texts: string[] = [];
    await using harness = await open({ handlers: [noted(texts)] });
    const { client } = harness;
    const gone: string[] = [];
    const rolledBack = harness.transaction(async (tx) => {
      gone.push((await client.enqueue(note, { text: "gone" }, { tx, id: "same" })).id);
      throw new Refused();
    });
    await expect(rolledBack).rejects.toBeInstanceOf(Refused);
    const kept = await harness.transaction(async (tx) => {
      const enqueued = await client.enqueue(note, { text: "kept" }, { tx, id: "same" });
      expect(await harness.job(enqueued.id)).toBeUndefined();
      return enqueued;
    });
    await harness.settle();
    expect([kept.created, texts, await harness.job(String(gone[0]))]).toEqual([true, ["kept"], undefined]);
  });

  test("a job completed in a transaction has succeeded with its commit, whatever the handler returns", async () => {
    const texts: string[] = [];
    const opened: { harness?: Harness } = {};
    await using harness = await open({
      handlers: [
        handle(note, async (job) => {
          await opened.harness?.transaction(async (tx) => {
            await job.complete(tx, { length: 77 });
            texts.push("committed");
          });
          return { length: 0 };
        }),
      ],
    });
    opened.harness = harness;
    const { id } = await harness.client.enqueue(note, { text: "a" });
    await harness.settle();
    expect([await harness.job(id), texts]).toMatchObject([
      { state: "succeeded", result: { length: 77 }, attempt: 1 },
      ["committed"],
    ]);
  });

  test("a job completed in a transaction that rolls back is tried again, even when the handler hides it", async () => {
    const pay = defineJob({ name: "pay", payload: z.object({}), result: z.string(), attempts: 2, backoff: soon });
    const opened: { harness?: Harness } = {};
    await using harness = await open({
      handlers: [
        handle(pay, async (job) => {
          const work = opened.harness?.transaction(async (tx) => {
            await job.complete(tx, "paid");
            if (job.attempt === 1) throw new Refused();
          });
          await work?.catch(() => undefined);
          return "unpaid";
        }),
      ],
    });
    opened.harness = harness;
    const { id } = await harness.client.enqueue(pay, {});
    await harness.settle();
    const job = await harness.job(id);
    expect([job?.state, job?.result, job?.errors.map(({ code }) => code)]).toEqual([
      "succeeded",
      "paid",
      ["JOB_COMPLETION_ROLLED_BACK"],
    ]);
  });

  test("an event reaches everybody who subscribed, is tried again when it fails, and once where there is an inbox", async () => {
    const paid = defineEvent({ type: "orders.paid", schema: z.object({ order: z.number() }) });
    const seen: string[] = [];
    const opened: { harness?: Harness } = {};
    const options = { service: "shop", ladderMs: [30] };
    await using harness = await open({
      handlers: [noted([])],
      subscriptions: [
        subscribe(paid, { ...options, name: "mail", attempts: 3 }, ({ data, attempt }) => {
          seen.push(`mail ${data.order} ${attempt}`);
          if (attempt === 1) throw new Error("not yet");
        }),
        subscribe("orders.#", { ...options, name: "audit", inbox: true }, async (event) => {
          await opened.harness?.transaction(async (tx) => event.complete(tx));
          seen.push(`audit ${event.type}`);
        }),
      ],
    });
    opened.harness = harness;
    await harness.client.publish(paid, { order: 1 });
    await harness.transaction((tx) => harness.client.publish(paid, { order: 2 }, { tx }));
    await harness.client.publish(paid, { order: 2 }, { id: "twice" });
    await harness.client.publish(paid, { order: 2 }, { id: "twice" });
    await harness.settle();
    await expect.poll(() => seen.filter((one) => one.endsWith(" 2") && one.startsWith("mail")).length).toBe(4);
    expect(seen.filter((one) => one.startsWith("audit"))).toHaveLength(3);
    await expect(harness.client.publish(paid, { order: "x" } as never)).rejects.toMatchObject({
      code: "EVENT_DATA_INVALID",
    });
  });
}
