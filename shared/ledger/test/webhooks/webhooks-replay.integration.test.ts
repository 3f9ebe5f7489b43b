import {
  type AcceptedRequest,
  createReplaying,
  createRequestRecords,
  createWebhookStore,
  type Judgement,
  type Ledger,
  newId,
  type Replaying,
  type RequestRecords,
  type Routed,
  type WebhookStore,
} from "@warren/ledger";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { aJob, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
let store: WebhookStore;
let records: RequestRecords;
let replaying: Replaying;

/** What routing makes of an event today, by its source. */
const routes = new Map<string, () => Routed>();
const judgements = new Map<string, Judgement>();
const order = { by: "anna", reason: "test" };

beforeAll(async () => {
  world = await openLedgerWorld();
  ledger = world.ledger;
  store = createWebhookStore({ ledger, newId, onJobs: () => undefined });
  records = createRequestRecords({ ledger });
  replaying = openReplaying(ledger);
});
beforeEach(() => {
  routes.clear();
  judgements.clear();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

function openReplaying(on: Ledger): Replaying {
  return createReplaying({
    ledger: on,
    route: async ({ source }) => routes.get(source)?.() ?? { jobs: [] },
    judge: ({ correlationId }) => judgements.get(correlationId) ?? { kind: "refused", why: "still_rejected" },
  });
}

async function accept(source: string, more: Partial<AcceptedRequest> = {}): Promise<string> {
  const id = newId();
  const answer = await store.accept({
    id,
    source,
    provider: "github",
    method: "POST",
    url: `/webhooks/${source}`,
    rawHeaders: [],
    peerAddress: undefined,
    clientAddress: undefined,
    correlationId: "test",
    body: Buffer.from("{}"),
    dedupeKey: id,
    eventId: id,
    eventType: "push",
    jobs: [],
    ...more,
  });
  expect(answer).toBe("accepted");
  return id;
}

async function reject(source: string, judgement?: Judgement): Promise<string> {
  const id = newId();
  if (judgement !== undefined) judgements.set(id, judgement);
  await store.record([
    {
      id,
      source,
      provider: "github",
      method: "POST",
      url: `/webhooks/${source}?a=1`,
      rawHeaders: ["x-a", "b"],
      peerAddress: undefined,
      clientAddress: undefined,
      correlationId: id,
      body: Buffer.from("{}"),
      bodyBytes: 2,
      cause: "signature_mismatch",
    },
  ]);
  return id;
}

const authentic = (dedupeKey: string): Judgement => ({
  kind: "authentic",
  dedupeKey,
  eventId: dedupeKey,
  eventType: "push",
  subject: "repository/1",
});

/** Lets a worker run the jobs of an event to an end. */
async function finish(ids: readonly string[], outcome: "succeed" | "die"): Promise<void> {
  const workerId = await world.worker();
  const jobs = await ledger.claim({ workerId, ids });
  expect(jobs).toHaveLength(ids.length);
  for (const { id, attempt } of jobs) {
    await ledger.settle({
      id,
      attempt,
      workerId,
      outcome:
        outcome === "succeed"
          ? { kind: "succeeded", result: null }
          : { kind: "dead", reason: "JOB_FAILED", error: { code: "JOB_FAILED", message: "no" } },
    });
  }
}

async function jobsOf(id: string): Promise<readonly string[]> {
  return ((await records.event(id))?.jobs ?? []).map((job) => job.id);
}

describe("running an event again", () => {
  test("does nothing where everything has succeeded, unless new effects are asked for", async () => {
    routes.set("a", () => ({ jobs: [aJob({ name: "mail" })] }));
    const id = await accept("a", { jobs: [aJob({ name: "mail" })] });
    expect(await replaying.run([id], { ...order, mode: "missing" })).toEqual([
      { id, kind: "skipped", why: "unfinished" },
    ]);
    const first = await jobsOf(id);
    await finish(first, "succeed");
    expect(await replaying.run([id], { ...order, mode: "missing" })).toEqual([
      { id, kind: "skipped", why: "succeeded" },
    ]);
    expect(await jobsOf(id)).toEqual(first);

    const [again] = await replaying.run([id], { ...order, mode: "new" });
    expect(again).toMatchObject({ kind: "changed", made: [expect.any(String)], revived: [] });
    const both = await jobsOf(id);
    expect(both).toHaveLength(2);
    expect(both).toContain(first[0]);
    expect(await records.event(id)).toMatchObject({
      state: "unfinished",
      runs: [{ kind: "new", by: "anna", reason: "test", made: [both[1]] }],
    });
  });

  test("brings dead jobs back under their ids, and leaves the others", async () => {
    routes.set("a", () => ({ jobs: [aJob({ name: "mail" }), aJob({ name: "push" })] }));
    const id = await accept("a", { jobs: [aJob({ name: "mail" }), aJob({ name: "push" })] });
    const [mail = "", push = ""] = await jobsOf(id);
    await finish([mail], "succeed");
    await finish([push], "die");
    expect(await records.event(id)).toMatchObject({ state: "dead" });
    expect(await replaying.run([id], { ...order, mode: "missing" })).toMatchObject([
      { kind: "changed", made: [], revived: [push] },
    ]);
    expect(await records.event(id)).toMatchObject({
      state: "unfinished",
      runs: [{ kind: "missing", revived: [push] }],
    });
    expect(await ledger.findJob(mail)).toMatchObject({ state: "succeeded" });
    await finish([push], "die");
    await ledger.control.discard([push], "anna");
    expect(await replaying.run([id], { ...order, mode: "missing" })).toMatchObject([{ why: "cancelled" }]);
  });

  test("makes what routing makes today and the event does not have, once", async () => {
    const id = await accept("b", { jobs: [aJob({ name: "mail" })] });
    await finish(await jobsOf(id), "succeed");
    routes.set("b", () => ({
      jobs: [aJob({ name: "mail" }), aJob({ name: "deliver" }), aJob({ name: "deliver" })],
      events: [{ eventId: newId(), type: "x.y", headers: {}, body: "{}" }],
      routes: [
        { rule: "code", made: "job", job: 0 },
        { rule: "first", made: "delivery", job: 1 },
        { rule: "second", made: "delivery", job: 2 },
        { rule: "third", made: "event", event: 0 },
      ],
    }));
    const answers = await Promise.all([1, 2, 3].map(() => replaying.run([id], { ...order, mode: "missing" })));
    const changed = answers.flat().filter(({ kind }) => kind === "changed");
    expect(changed).toMatchObject([{ made: [expect.any(String), expect.any(String)], events: 1 }]);
    expect(await jobsOf(id)).toHaveLength(3);
    // the job that no rule was known for is now the first one's
    expect((await records.event(id))?.routes).toMatchObject(
      ["code", "first", "second", "third"].map((rule) => ({ rule })),
    );
    const outbox = await ledger.query(
      `select count(*)::int as count from ${ledger.table("event_outbox")} where type = 'x.y'`,
      [],
    );
    expect(outbox.rows).toEqual([{ count: 1 }]);
  });

  test("of an event that came to nothing takes its mark away; one that routing still makes nothing of stays", async () => {
    const [come, gone] = [await accept("c"), await accept("none")];
    expect((await records.search({ filter: { routing: "unmatched" } })).requests.map(({ id }) => id)).toEqual(
      expect.arrayContaining([come, gone]),
    );
    routes.set("c", () => ({ jobs: [aJob()] }));
    expect(await replaying.run([come, gone], { ...order, mode: "missing" })).toMatchObject([
      { kind: "changed" },
      { why: "unmatched" },
    ]);
    expect(await records.find(come)).toMatchObject({ routing: undefined });
    expect(await records.find(gone)).toMatchObject({ routing: "unmatched" });
  });

  test("never guesses what is missing where history has forgotten the jobs", async () => {
    const id = await accept("d", { jobs: [aJob({ name: "mail" })] });
    await ledger.query(`delete from ${ledger.table("jobs")} where id = any ($1)`, [await jobsOf(id)]);
    routes.set("d", () => ({ jobs: [aJob({ name: "mail" })] }));
    expect(await replaying.run([id], { ...order, mode: "missing" })).toMatchObject([{ why: "forgotten" }]);
    expect(await records.event(id)).toMatchObject({ state: "forgotten" });
    expect(await replaying.run([id], { ...order, mode: "new" })).toMatchObject([{ kind: "changed" }]);
  });

  test("that routing throws on changes nothing, and neither does one that nobody knows", async () => {
    const id = await accept("e");
    routes.set("e", () => {
      throw new Error("no");
    });
    const unknown = newId();
    expect(await replaying.run([id, unknown], { ...order, mode: "new" })).toEqual([
      { id, kind: "skipped", why: "route_failed" },
      { id: unknown, kind: "skipped", why: "not_found" },
    ]);
    expect((await records.event(id))?.runs).toEqual([]);
  });
});

describe("verifying rejected requests again", () => {
  test("takes what is authentic now, once, with its jobs; the rest stays rejected", async () => {
    routes.set("late", () => ({ jobs: [aJob({ name: "mail" })] }));
    const first = await reject("late", authentic("k"));
    const second = await reject("late", authentic("k"));
    const forged = await reject("late");
    const answers = await replaying.verify([first, second, forged], order);
    expect(answers).toMatchObject([
      { id: first, kind: "changed", made: [expect.any(String)] },
      { id: second, kind: "skipped", why: "duplicate" },
      { id: forged, kind: "skipped", why: "still_rejected" },
    ]);
    expect(await records.find(first)).toMatchObject({
      status: "accepted",
      cause: undefined,
      key: "k",
      subject: "repository/1",
      late: { cause: "signature_mismatch" },
      event: first,
    });
    expect(await records.find(second)).toMatchObject({ status: "duplicate", event: first });
    expect(await records.find(forged)).toMatchObject({ status: "rejected", cause: "signature_mismatch" });
    expect(await records.event(first)).toMatchObject({ runs: [{ kind: "late" }], duplicates: { count: 1 } });
    expect(await replaying.verify([first], order)).toMatchObject([{ why: "not_rejected" }]);
    // and the sender that comes again hears of a duplicate
    const again = { id: newId(), dedupeKey: "k", source: "late" };
    await expect(accept("late", again)).rejects.toThrow("duplicate");
  });

  test("of an event that was accepted meanwhile makes a duplicate and no job", async () => {
    routes.set("late", () => ({ jobs: [aJob()] }));
    await accept("late", { dedupeKey: "sent again" });
    const before = Object.keys(await world.states()).length;
    const id = await reject("late", authentic("sent again"));
    expect(await replaying.verify([id], order)).toMatchObject([{ why: "duplicate" }]);
    expect(Object.keys(await world.states())).toHaveLength(before);
  });

  test("by several processes at once accepts each event once", async () => {
    routes.set("race", () => ({ jobs: [aJob()] }));
    const ids = await Promise.all(Array.from({ length: 10 }, (_, at) => reject("race", authentic(`r-${at % 5}`))));
    const another = openReplaying(await world.openAnother());
    const answers = await Promise.all([replaying.verify(ids, order), another.verify(ids.toReversed(), order)]);
    expect(answers.flat().filter(({ kind }) => kind === "changed")).toHaveLength(5);
    expect((await records.events({ filter: { source: "race" } })).events.flatMap(({ jobs }) => jobs)).toHaveLength(5);
  });
});

/** Until a while has passed without anything to do. */
async function runAll(by: Replaying = replaying): Promise<void> {
  for (let idle = 0; idle < 40; ) {
    const step = await by.step();
    if (step === undefined || step.waits) idle += 1;
    if (step === undefined) await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

describe("a replay of many", () => {
  test("takes what matched when it was made, after a process died in the middle and by two at once, and each event once", async () => {
    routes.set("many", () => ({ jobs: [aJob({ name: "made" })] }));
    const ids: string[] = [];
    for (let at = 0; at < 30; at += 1) ids.push(await accept("many"));
    const filter = { source: "many", routing: "unmatched" } as const;
    expect(await replaying.count({ action: "replay", filter })).toMatchObject({
      matched: 30,
      looked: { complete: true },
    });
    const replay = await replaying.start({ ...order, action: "replay", filter, rate: 1_000, mostWaiting: 1_000 });
    const later = await accept("many");

    // a process that dies in the middle of a batch: its connections are cut after it has routed and before it commits
    const dying = createReplaying({
      ledger: await world.openAnother({ applicationName: "dying" }),
      route: async () => {
        const cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dying'";
        await ledger.query(`${cut} and datname = current_database()`, []);
        return { jobs: [aJob({ name: "made" })] };
      },
      judge: () => ({ kind: "refused", why: "source_gone" }),
    });
    await expect(dying.step()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
    expect(await replaying.find(replay.id)).toMatchObject({ matched: 0, changed: 0 });
    expect(await jobsOf(ids[0] ?? "")).toEqual([]);

    const other = openReplaying(await world.openAnother());
    await Promise.all([runAll(), runAll(other)]);
    expect(await replaying.find(replay.id)).toMatchObject({ state: "done", matched: 30, changed: 30, skipped: 0 });
    for (const id of ids) expect(await jobsOf(id)).toHaveLength(1);
    expect(await jobsOf(later)).toEqual([]);
  });

  test("waits while its own jobs wait, can be paused and aborted, and says why it left events alone", async () => {
    routes.set("slow", () => ({ jobs: [aJob({ name: "made" })] }));
    for (let at = 0; at < 6; at += 1) await accept("slow");
    const done = await accept("slow", { jobs: [aJob({ name: "made" })] });
    await finish(await jobsOf(done), "succeed");
    const { id } = await replaying.start({
      ...order,
      action: "replay",
      filter: { source: "slow" },
      rate: 1_000,
      mostWaiting: 2,
    });
    expect(await replaying.step()).toMatchObject({ id, answers: [{ kind: "changed" }, { kind: "changed" }] });
    await expect.poll(() => replaying.step()).toMatchObject({ waits: true, answers: [] });
    expect(await replaying.setState(id, "paused", "boris")).toMatchObject({
      state: "paused",
      endedBy: "boris",
      matched: 2,
    });
    expect(await replaying.step()).toBeUndefined();
    expect(await replaying.setState(id, "running", "boris")).toMatchObject({ state: "running" });
    await ledger.query(`delete from ${ledger.table("jobs")} where name = 'made'`, []);
    await runAll();
    expect(await replaying.find(id)).toMatchObject({ state: "running", matched: 4 });
    await ledger.query(`delete from ${ledger.table("jobs")} where name = 'made'`, []);
    await runAll();
    await ledger.query(`delete from ${ledger.table("jobs")} where name = 'made'`, []);
    await runAll();
    expect(await replaying.find(id)).toMatchObject({
      state: "done",
      matched: 7,
      changed: 6,
      skips: { succeeded: 1 },
      examples: { succeeded: [done] },
    });
    expect(await replaying.setState(id, "aborted", "boris")).toMatchObject({ state: "done" });
  });

  test("verifies rejected requests, and an event that cannot be written does not hold up those behind it", async () => {
    const [bad, good] = [await reject("verify", authentic("bad")), await reject("verify", authentic("good"))];
    let calls = 0;
    routes.set("verify", () => {
      calls += 1;
      return { jobs: [aJob({ payload: { text: "ok" } })] };
    });
    routes.set("odd", () => ({ jobs: [aJob({ payload: { text: "\u0000" } })] }));
    const odd = await accept("odd");
    const { id: verifyId } = await replaying.start({
      ...order,
      action: "verify",
      filter: { source: "verify" },
      most: 5,
    });
    const { id: replayId } = await replaying.start({ ...order, action: "replay", filter: { ids: [odd] } });
    await runAll();
    expect(await replaying.find(verifyId)).toMatchObject({ state: "done", changed: 2 });
    expect(await replaying.find(replayId)).toMatchObject({ state: "done", skips: { route_failed: 1 } });
    expect(await Promise.all([bad, good].map((id) => records.find(id)))).toMatchObject([
      { status: "accepted" },
      { status: "accepted" },
    ]);
    expect(calls).toBe(2);
    expect((await replaying.list({ limit: 2 })).map(({ id }) => id)).toEqual([replayId, verifyId]);
  });

  test.for([
    { what: "a rate of 0", more: { rate: 0 } },
    { what: "a rate that is none", more: { rate: Number.NaN } },
    { what: "room for no job", more: { mostWaiting: 0 } },
    { what: "none at most", more: { most: 0 } },
    { what: "a path that is none", more: { filter: { body: [{ path: "" }] } } },
  ])("refuses $what", async ({ more }) => {
    const replay = { ...order, action: "replay", filter: {}, ...more } as const;
    await expect(replaying.start(replay)).rejects.toMatchObject({ code: "LEDGER_DATA_INVALID" });
  });
});
