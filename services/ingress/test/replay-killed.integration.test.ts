import { type Ledger, openLedger } from "@warren/ledger";
import { createWorld, freePort, type ServiceProcess, spawnService, type World, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { githubHeaders, jobsOf, log, post, prepare, startIngress } from "./fixture.ts";
import { githubSecret } from "./signed.ts";

const apiKey = "0123456789abcdef0123456789";
const events = 300;
const rejected = 100;
/** Batches from here on wait for a lock of the test at their last statement: everything is written, and nothing is committed. */
const freeUntil = 50;
const lock = 471_101;

test("the process that replays and verifies many is killed in a batch: another goes on, and each is done exactly once", async () => {
  await using world = await createWorld();
  await prepare(world);
  await using ledger = await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log });
  {
    const sources = { github: { provider: "github", secrets: ["the old secret"] } };
    await using before = await startIngress(world, { sources });
    expect(await send(before, "late", rejected)).toEqual([401]);
  }
  await using doomed = await start(world);
  const from = new Date().toISOString();
  expect(await send(doomed.process, "event", events)).toEqual([202]);

  await using held = await holdBatches(ledger);
  const order = { reason: "a wrong secret", mostWaiting: 10_000 };
  const verification = await doomed.replay({ ...order, action: "verify", filter: { source: "github" }, rate: 50 });
  const { table } = ledger;
  const stand = async (id: string) =>
    (
      await ledger.query(`select state, matched, changed, skipped from ${table("webhook_operations")} where id = $1`, [
        id,
      ])
    ).rows[0];
  await waitFor(async () => (await stand(verification))?.["changed"] === freeUntil, { what: "a first batch" });
  const replay = await doomed.replay({ ...order, mode: "new", filter: { source: "github", from }, rate: 1_000 });
  await waitFor(() => isHeld(ledger), { what: "a batch that is written and not committed" });
  await doomed.process.kill();
  for (const id of [verification, replay]) expect(await stand(id)).toMatchObject({ state: "running" });
  await held.letGo();

  await using heir = await startIngress(world, { apiKeys: [apiKey] });
  expect(heir.ingress.api).toBeDefined();
  for (const { id, many } of [
    { id: verification, many: rejected },
    { id: replay, many: events },
  ]) {
    await waitFor(async () => (await stand(id))?.["state"] === "done", { what: "the end of what the dead began" });
    expect(await stand(id)).toMatchObject({ matched: many, changed: many, skipped: 0 });
    const { rows } = await ledger.query(
      `select count(*)::int as runs, count(distinct event_id)::int as events from ${table("webhook_event_runs")}
       where operation_id = $1`,
      [id],
    );
    expect(rows).toEqual([{ runs: many, events: many }]);
  }
  // one for each event, one more for each that was replayed, one for each that was accepted late
  expect(await jobsOf({ ledger })).toHaveLength(events + events + rejected);
});

/** Sends authentic webhooks; answers the statuses that came. */
async function send(to: { readonly url: string }, name: string, many: number): Promise<readonly number[]> {
  const answers = await Promise.all(
    Array.from({ length: many }, (_, number) => {
      const body = JSON.stringify({ number });
      return post(to, "github", githubHeaders(body, `${name}-${number}`), body);
    }),
  );
  return [...new Set(answers.map(({ status }) => status))];
}

interface Managed extends AsyncDisposable {
  readonly process: ServiceProcess;
  /** Makes a replay; answers its id. */
  replay(order: object): Promise<string>;
}

async function start(world: World): Promise<Managed> {
  const apiPort = await freePort();
  const process = await spawnService({
    entry: "services/ingress/src/main.ts",
    env: {
      DATABASE_URL: world.databaseUrl,
      WARREN_SCHEMA: world.schema,
      AMQP_URL: world.amqpUrl,
      WARREN_SOURCE_GITHUB: "github",
      WARREN_SOURCE_GITHUB_SECRET: githubSecret,
      WARREN_NOTIFY_EMAIL: "operator@example.com",
      WARREN_API_KEYS: apiKey,
      WARREN_API_PORT: String(apiPort),
    },
  });
  return {
    process,
    async replay(order) {
      const answer = await fetch(`http://127.0.0.1:${apiPort}/api/v1/replays`, {
        method: "POST",
        headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
        body: JSON.stringify(order),
      });
      const made = (await answer.json()) as Readonly<Record<string, unknown>>;
      expect({ status: answer.status, ...made }).toMatchObject({ status: 201, state: "running" });
      return String(made["id"]);
    },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

/** Stops every batch after the first of a replay right before its commit, until it is let go. */
async function holdBatches(ledger: Ledger): Promise<AsyncDisposable & { letGo(): Promise<void> }> {
  const wait = ledger.table("wait_for_the_test");
  await ledger.query(
    `create function ${wait}() returns trigger language plpgsql as
     $wait$ begin perform pg_advisory_xact_lock(${lock}); return new; end $wait$`,
    [],
  );
  await ledger.query(
    `create trigger wait_for_the_test before update on ${ledger.table("webhook_operations")} for each row
     when (new.matched > old.matched and old.matched >= ${freeUntil}) execute function ${wait}()`,
    [],
  );
  const taken = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const holding = ledger.transaction(async (run) => {
    await run(`select pg_advisory_xact_lock(${lock})`, []);
    taken.resolve();
    await over.promise;
  });
  await Promise.race([taken.promise, holding]);
  const letGo = async (): Promise<void> => {
    over.resolve();
    await holding;
  };
  return { letGo, [Symbol.asyncDispose]: letGo };
}

async function isHeld(ledger: Ledger): Promise<boolean> {
  const { rows } = await ledger.query(
    `select from pg_locks where locktype = 'advisory' and objid = ${lock} and not granted
       and database = (select oid from pg_database where datname = current_database())`,
    [],
  );
  return rows.length > 0;
}
