import type { ClaimedJob, Ledger, Outcome } from "@warren/ledger";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { aJob, enqueueOne, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
beforeAll(async () => {
  world = await openLedgerWorld();
  ledger = world.ledger;
  await ledger.query("create table effects (job uuid)", []);
});
beforeEach(async () => {
  await world.clear();
  await ledger.query("truncate effects", []);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const error = { code: "TEST", message: "no luck" };

async function claimOne(workerId: string, id: string): Promise<ClaimedJob> {
  const [job] = await ledger.claim({ workerId, ids: [id] });
  return job!;
}

const settle = (job: ClaimedJob, workerId: string, outcome: Outcome) =>
  ledger.settle({ id: job.id, attempt: job.attempt, workerId, outcome });

describe("claiming", () => {
  test("gives each job to exactly one of many concurrent claimers, and deadlocks never", async () => {
    const claimers = await Promise.all(
      Array.from({ length: 4 }, async () => ({
        ledger: await world.openAnother({ poolSize: 3 }),
        id: await world.worker(),
      })),
    );
    const results = await ledger.enqueue(Array.from({ length: 400 }, () => aJob()));
    const ids = results.map(({ id }) => id);
    const claimed = await Promise.all(
      claimers.flatMap(({ ledger: own, id: workerId }, claimer) =>
        Array.from({ length: 10 }, (_, part) => {
          const turned = ids.map((_id, index) => ids[(index * 3 + part * 40 + claimer) % ids.length]!);
          return own.claim({ workerId, ids: turned.slice(part * 20, part * 20 + 120) });
        }),
      ),
    );
    const all = claimed.flat().map(({ id }) => id);
    expect(new Set(all).size).toBe(all.length);
    const { rows } = await ledger.query(
      `select count(*)::int as running, max(attempt) as attempts from ${ledger.table("jobs")} where state = 'running'`,
      [],
    );
    expect(rows).toEqual([{ running: all.length, attempts: 1 }]);
  });

  test("waits for a locked job rather than skip it, since a skipped claim would be a lost message", async () => {
    const workerId = await world.worker();
    const id = await enqueueOne(ledger);
    let claim: Promise<readonly ClaimedJob[]> | undefined;
    await ledger.transaction(async (run) => {
      await run(`select 1 from ${ledger.table("jobs")} where id = $1 for update`, [id]);
      claim = ledger.claim({ workerId, ids: [id] });
    });
    expect((await claim!).map((job) => job.id)).toEqual([id]);
  });

  test("passes over what is not ready: done, running, scheduled, unknown", async () => {
    const workerId = await world.worker();
    const [done, running, scheduled, ready] = await Promise.all([
      enqueueOne(ledger),
      enqueueOne(ledger),
      enqueueOne(ledger, { delayMs: 60_000 }),
      enqueueOne(ledger),
    ]);
    await ledger.cancel(done, "test");
    await claimOne(workerId, running);
    const unknown = "01900000-0000-7000-8000-000000000000";
    const claimed = await ledger.claim({ workerId, ids: [done, running, scheduled, ready, unknown, ready] });
    expect(claimed.map(({ id }) => id)).toEqual([ready]);
  });

  test("by a worker whose lease is over is refused, so that no job is left with nobody to rescue it", async () => {
    const workerId = await world.worker();
    const id = await enqueueOne(ledger);
    await ledger.expireWorker({ id: workerId, beatSeq: "0" });
    await expect(ledger.claim({ workerId, ids: [id] })).rejects.toMatchObject({ code: "LEDGER_WORKER_ENDED" });
    expect((await ledger.findJob(id))?.state).toBe("ready");
  });

  test("under way when the lease ends is either refused or rescued, never lost", async () => {
    const other = await world.openAnother();
    for (let round = 0; round < 15; round += 1) {
      const workerId = await world.worker();
      const ids = (await ledger.enqueue(Array.from({ length: 30 }, () => aJob()))).map(({ id }) => id);
      await Promise.all([
        ...ids.map((id) => other.claim({ workerId, ids: [id] }).catch(() => [])),
        ledger.expireWorker({ id: workerId, beatSeq: "0" }),
      ]);
      expect(await ledger.runningOf(workerId)).toEqual([]);
    }
  });

  test("an id that is no id fails its own call only", async () => {
    const workerId = await world.worker();
    const id = await enqueueOne(ledger);
    const [good, bad] = await Promise.allSettled([
      ledger.claim({ workerId, ids: [id] }),
      ledger.claim({ workerId, ids: ["no-uuid"] }),
    ]);
    expect(good).toMatchObject({ status: "fulfilled", value: [{ id }] });
    expect(bad).toMatchObject({ status: "rejected", reason: { code: "LEDGER_DATA_INVALID" } });
  });
});

describe("settling", () => {
  test.for<{ outcome: Outcome; state: string; more: Record<string, unknown> }>([
    { outcome: { kind: "succeeded", result: { n: 1 } }, state: "succeeded", more: { result: { n: 1 }, excused: 0 } },
    { outcome: { kind: "succeeded", result: undefined }, state: "succeeded", more: { result: undefined } },
    { outcome: { kind: "dead", reason: "JOB_TIMEOUT", error }, state: "dead", more: { reason: "JOB_TIMEOUT" } },
    { outcome: { kind: "cancelled", reason: "by hand" }, state: "cancelled", more: { reason: "by hand" } },
    { outcome: { kind: "retrying", delayMs: 5_000, error }, state: "retrying", more: { excused: 0 } },
    { outcome: { kind: "snoozed", delayMs: 5_000 }, state: "retrying", more: { excused: 1, errors: [] } },
    { outcome: { kind: "held", breaker: "a:b", error }, state: "ready", more: { excused: 1, heldBy: "a:b" } },
    { outcome: { kind: "returned" }, state: "ready", more: { excused: 1, workerId: undefined } },
  ])("$outcome.kind makes the job $state", async ({ outcome, state, more }) => {
    const workerId = await world.worker();
    const job = await claimOne(workerId, await enqueueOne(ledger));
    expect(await settle(job, workerId, outcome)).toBe("applied");
    const record = await ledger.findJob(job.id);
    expect(record).toMatchObject({ state, attempt: 1, ...more });
    const hasError = outcome.kind === "dead" || outcome.kind === "retrying" || outcome.kind === "held";
    expect(record?.errors.map(({ code, attempt }) => ({ code, attempt }))).toEqual(
      hasError ? [{ code: "TEST", attempt: 1 }] : [],
    );
    const waitMs = record!.runAt.getTime() - record!.claimedAt!.getTime();
    const isLater = outcome.kind === "retrying" || outcome.kind === "snoozed";
    expect(waitMs >= 5_000 && waitMs < 20_000).toBe(isLater);
  });

  test("is idempotent by its fence: the same settlement again is `already`, whatever it made of the job", async () => {
    const workerId = await world.worker();
    const finished = await claimOne(workerId, await enqueueOne(ledger));
    const retried = await claimOne(workerId, await enqueueOne(ledger));
    const succeed = () => settle(finished, workerId, { kind: "succeeded", result: 1 });
    const retry = () => settle(retried, workerId, { kind: "retrying", delayMs: 0, error });
    // Twins in one batch, and then a resend.
    expect((await Promise.all([succeed(), succeed(), retry(), retry()])).toSorted()).toEqual(
      ["applied", "applied", "already", "already"].toSorted(),
    );
    expect(await Promise.all([succeed(), retry()])).toEqual(["already", "already"]);
    expect((await ledger.findJob(retried.id))?.errors.length).toBe(1);
  });

  test("is refused once another attempt owns the job, and changes nothing", async () => {
    const [slow, quick] = [await world.worker(), await world.worker()];
    const id = await enqueueOne(ledger);
    const first = await claimOne(slow, id);
    await ledger.expireWorker({ id: slow, beatSeq: "0" });
    expect(await settle(first, slow, { kind: "succeeded", result: "late" })).toBe("fenced");
    const second = await claimOne(quick, id);
    expect(await settle(first, slow, { kind: "succeeded", result: "late" })).toBe("fenced");
    expect(await ledger.findJob(id)).toMatchObject({ state: "running", workerId: quick, attempt: 2, stalls: 1 });
    expect(await settle(second, quick, { kind: "succeeded", result: "right" })).toBe("applied");
    expect(await settle(first, slow, { kind: "succeeded", result: "late" })).toBe("fenced");
    expect((await ledger.findJob(id))?.result).toBe("right");
  });

  test("of a job that died by stalls is refused, not taken for settled", async () => {
    const workerId = await world.worker();
    const job = await claimOne(workerId, await enqueueOne(ledger, { maxStalls: 0 }));
    expect(await ledger.expireWorker({ id: workerId, beatSeq: "0" })).toMatchObject({ dead: [job.id] });
    expect(await settle(job, workerId, { kind: "succeeded", result: 1 })).toBe("fenced");
    expect(await ledger.findJob(job.id)).toMatchObject({ state: "dead", reason: "JOB_STALLED", result: undefined });
  });

  test("with a result that Postgres cannot store fails alone; its neighbours are settled", async () => {
    const workerId = await world.worker();
    const ids = (await ledger.enqueue(Array.from({ length: 20 }, () => aJob()))).map(({ id }) => id);
    const jobs = await ledger.claim({ workerId, ids });
    const settled = await Promise.allSettled(
      jobs.map((job, index) => settle(job, workerId, { kind: "succeeded", result: index === 5 ? "\u0000" : index })),
    );
    expect(settled.filter(({ status }) => status === "fulfilled").length).toBe(19);
    expect(settled[5]).toMatchObject({ status: "rejected", reason: { code: "LEDGER_DATA_INVALID" } });
    expect((await ledger.findJob(jobs[5]!.id))?.state).toBe("running");
  });

  test("keeps the latest ten errors", async () => {
    const workerId = await world.worker();
    const id = await enqueueOne(ledger, { maxAttempts: 100 });
    for (let attempt = 1; attempt <= 12; attempt += 1) {
      const job = await claimOne(workerId, id);
      await settle(job, workerId, { kind: "retrying", delayMs: 0, error: { code: "TEST", message: `${attempt}` } });
      await ledger.takeDue({ limit: 1 });
    }
    const errors = (await ledger.findJob(id))?.errors.map(({ attempt }) => attempt);
    expect(errors).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test("inside the handler's transaction commits with it or not at all", async () => {
    const workerId = await world.worker();
    const id = await enqueueOne(ledger);
    const job = await claimOne(workerId, id);
    const complete = (fails: boolean): Promise<void> =>
      ledger.transaction(async (run) => {
        await run("insert into effects values ($1)", [id]);
        const outcome = { kind: "succeeded", result: "done" } as const;
        await ledger.settleIn(run, { id, attempt: job.attempt, workerId, outcome });
        if (fails) throw new Error("handler failed");
      });
    await expect(complete(true)).rejects.toThrow("handler failed");
    expect((await ledger.findJob(id))?.state).toBe("running");
    await complete(false);
    expect(await ledger.findJob(id)).toMatchObject({ state: "succeeded", result: "done" });
    expect(await settle(job, workerId, { kind: "succeeded", result: "done" })).toBe("already");
    expect((await ledger.query("select * from effects", [])).rows.length).toBe(1);
  });

  test("inside a transaction by a fenced worker rolls its effects back", async () => {
    const workerId = await world.worker();
    const job = await claimOne(workerId, await enqueueOne(ledger));
    // Suspended past its lease; then it wakes up in mid-handler.
    await ledger.expireWorker({ id: workerId, beatSeq: "0" });
    const complete = ledger.transaction(async (run) => {
      await run("insert into effects values ($1)", [job.id]);
      await ledger.settleIn(run, { ...job, workerId, outcome: { kind: "succeeded", result: 1 } });
    });
    await expect(complete).rejects.toMatchObject({ code: "JOB_FENCED" });
    expect((await ledger.query("select * from effects", [])).rows).toEqual([]);
  });
});
