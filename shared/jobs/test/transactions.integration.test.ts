import { inspect } from "node:util";
import type { RunSql } from "@warren/ledger";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { chain, step } from "../src/flows/define-flow.ts";
import { handle } from "../src/handle.ts";
import { createControl, defineEvent } from "../src/index.ts";
import { type Bench, openBench } from "./fixture.ts";
import { type Library, libraries } from "./fixtures/libraries.ts";

class Refused extends Error {}

const welcome = defineJob({ name: "welcome", payload: z.object({ who: z.string() }), result: z.unknown() });
const charge = defineJob({
  name: "charge",
  payload: z.object({ who: z.string(), rollBack: z.boolean().default(false) }),
  result: z.object({ paid: z.string() }),
  attempts: 2,
  backoff: { kind: "fixed", delayMs: 0 },
});
const endless = defineJob({ name: "endless", payload: z.object({}), attempts: 1 });
const paid = defineEvent({ type: "orders.paid", schema: z.object({ who: z.string() }) });

describe.each(Object.keys(libraries))("%s", (name) => {
  let bench: Bench;
  let library: Library;

  beforeAll(async () => {
    bench = await openBench();
    await bench.ledger.query("create table orders (id serial primary key, who text not null)", []);
    library = (libraries[name] as (url: string) => Library)(bench.world.databaseUrl);
    await bench.worker([
      handle(welcome, ({ payload }) => ({ greeted: payload.who })),
      handle(endless, async ({ signal }) => {
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
      }),
      handle(charge, async (job) => {
        const { who, rollBack } = job.payload;
        const result = { paid: who };
        await library.transaction(async ({ tx, order }) => {
          await order(`charged ${who}`);
          await job.complete(tx, result);
          if (rollBack && job.attempt === 1) throw new Refused("the constraint fails");
        });
        return result;
      }),
    ]);
    bench.dispatch();
  });
  afterAll(async () => {
    await library[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  const orders = async (who: string): Promise<number> =>
    (await bench.ledger.query("select from orders where who = $1", [who])).rows.length;

  /** Runs the work in a transaction of the library that is rolled back at its end. */
  async function rolledBack<T>(work: Parameters<typeof library.transaction<T>>[0]): Promise<T> {
    const results: T[] = [];
    const attempt = library.transaction(async (inside) => {
      results.push(await work(inside));
      throw new Refused("rolled back");
    });
    await expect(attempt).rejects.toBeInstanceOf(Refused);
    return results[0] as T;
  }

  test("a commit makes the job, with the caller's own row, and it runs", async () => {
    const { id, state } = await library.transaction(async ({ tx, order }) => {
      await order("anna");
      const enqueued = await bench.client.enqueue(welcome, { who: "anna" }, { tx });
      expect(await bench.ledger.findJob(enqueued.id)).toBeUndefined();
      return enqueued;
    });
    expect(state).toBe("ready");
    expect((await bench.until(id, "succeeded")).result).toEqual({ greeted: "anna" });
    expect(await orders("anna")).toBe(1);
  });

  test("a rollback leaves neither the row nor the job", async () => {
    const { id } = await rolledBack(async ({ tx, order }) => {
      await order("bert");
      return bench.client.enqueue(welcome, { who: "bert" }, { tx });
    });
    expect(await bench.ledger.findJob(id)).toBeUndefined();
    expect(await orders("bert")).toBe(0);
  });

  test("a job completed in a transaction succeeds with its commit, effect and completion as one", async () => {
    const { id } = await bench.client.enqueue(charge, { who: "clara" });
    const job = await bench.until(id, "succeeded");
    expect([job.result, job.attempt, await orders("charged clara")]).toEqual([{ paid: "clara" }, 1, 1]);
  });

  test("a job completed in a transaction that rolls back is tried again, and its effect is there once", async () => {
    const { id } = await bench.client.enqueue(charge, { who: "dora", rollBack: true });
    const job = await bench.until(id, "succeeded");
    expect([job.attempt, await orders("charged dora")]).toEqual([2, 1]);
  });

  test("an id of the caller's choice makes one job, and after a rollback none is in the way", async () => {
    const enqueue = (tx: Parameters<typeof bench.client.enqueue>[2]) =>
      bench.client.enqueue(welcome, { who: "emil" }, { id: "welcome-emil", ...tx });
    const gone = await rolledBack(({ tx }) => enqueue({ tx }));
    const first = await library.transaction(({ tx }) => enqueue({ tx }));
    const second = await library.transaction(({ tx }) => enqueue({ tx }));
    expect([gone.created, first.created, second.created]).toEqual([true, true, false]);
    expect(second.id).toBe(first.id);
    await bench.until(first.id, "succeeded");
  });

  test("a unique job keeps others away from its commit on; its conflict modes work in a transaction", async () => {
    const enqueue = (tx: Parameters<typeof bench.client.enqueue>[2], who: string) =>
      bench.client.enqueue(
        welcome,
        { who },
        { unique: { key: "greeting", onConflict: "replace" }, delayMs: 60_000, ...tx },
      );
    const gone = await rolledBack(({ tx }) => enqueue({ tx }, "nobody"));
    const first = await library.transaction(({ tx }) => enqueue({ tx }, "fritz"));
    const second = await library.transaction(({ tx }) => enqueue({ tx }, "gerda"));
    expect([gone.created, first.created, second.deduplicated, second.id]).toEqual([true, true, "replaced", first.id]);
    const job = await bench.ledger.findJob(first.id);
    expect([job?.state, job?.payload]).toEqual(["scheduled", { who: "gerda" }]);
  });

  test("a flow starts with the commit, and not without", async () => {
    const start = (tx: Parameters<typeof bench.client.startFlow>[1]) =>
      bench.client.startFlow(
        chain("greetings", [
          step(welcome, { who: "hugo" }, { name: "first" }),
          step(welcome, { who: "ilse" }, { name: "second" }),
        ]),
        tx,
      );
    const gone = await rolledBack(({ tx }) => start({ tx }));
    expect(await bench.ledger.flows.find(gone.id)).toBeUndefined();
    const { jobs } = await library.transaction(({ tx }) => start({ tx }));
    expect((await bench.until(String(jobs["second"]), "succeeded")).result).toEqual({ greeted: "ilse" });
  });

  test("an event waits in the outbox from the commit on, ordered ones too", async () => {
    const publish = (tx: Parameters<typeof bench.client.publish>[2], who: string) =>
      bench.client.publish(paid, { who }, { orderingKey: 'käse "1" \\ {a,b}', ...tx });
    await rolledBack(({ tx }) => publish({ tx }, "nobody"));
    await library.transaction(async ({ tx }) => {
      await publish({ tx }, "jan");
      await bench.client.publish(paid, { who: "jan?" }, { tx });
    });
    const waiting = [
      ...(await bench.ledger.events.outbox.takeOrdered({ keys: 5, perKey: 5 })),
      ...(await bench.ledger.events.outbox.takeFree({ limit: 5 })),
    ];
    expect(waiting.map(({ body, orderingKey }) => [body, orderingKey])).toEqual([
      ['{"who":"jan"}', 'käse "1" \\ {a,b}'],
      ['{"who":"jan?"}', undefined],
    ]);
    expect(waiting[0]?.headers["cloudEvents_type"]).toBe("orders.paid");
    await bench.ledger.events.outbox.sent(waiting.map(({ position }) => position));
  });

  test("a running job is cancelled with the commit, and not without", async () => {
    await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
    const { id } = await bench.client.enqueue(endless, {});
    await bench.until(id, "running");
    const cancel = (tx: RunSql) => control.cancel(id, { reason: "the order was withdrawn", by: "shop", tx });
    await rolledBack(({ tx }) => cancel(tx));
    expect(await bench.ledger.findJob(id)).toMatchObject({ state: "running", cancelRequestedAt: undefined });
    const answer = await library.transaction(({ tx }) => cancel(tx));
    expect(answer.kind).toBe("requested");
    expect(await bench.until(id, "cancelled")).toMatchObject({
      cancelReason: "the order was withdrawn",
      cancelledBy: "shop",
    });
  });

  test("values of every type arrive as they were given, and a parameter may be named twice", async () => {
    const at = new Date("2026-03-29T01:30:00.250Z");
    const odd = 'it\'s ? $1 "quoted" \\ back, ünï \n line';
    const { rows } = await library.transaction(({ tx }) =>
      tx(
        `select 7 = $1::int as whole, 1.5 = $2::float8 as broken, 9007199254740993 = $3::bigint as big, $4::text is null as empty,
          $5::boolean as yes, $6::timestamptz = '${at.toISOString()}' as instant, $7::text::jsonb ->> 'a' as json,
          array_length($8::text[], 1) as length, ($8::text[])[1] as first, ($8::text[])[2] is null as second, $9::text as odd,
          $9::text = $9::text as twice, '{"a":1}'::jsonb ? 'a' as has, 'literal $1 ??' as literal,
          $10::uuid::text as id, $11::text is null as absent`,
        [
          7,
          1.5,
          "9007199254740993",
          null,
          true,
          at,
          '{"a":"b?"}',
          [odd, null, 'x"y'],
          odd,
          "0190b6a0-0000-7000-8000-000000000000",
          undefined,
        ],
      ),
    );
    expect({ ...rows[0] }).toEqual({
      whole: true,
      broken: true,
      big: true,
      empty: true,
      yes: true,
      instant: true,
      json: "b?",
      length: 3,
      first: odd,
      second: true,
      odd,
      twice: true,
      has: true,
      literal: "literal $1 ??",
      id: "0190b6a0-0000-7000-8000-000000000000",
      absent: true,
    });
  });

  test("a failing statement reaches the caller, and the transaction rolls back", async () => {
    const attempt = library.transaction(async ({ tx, order }) => {
      await order("karl");
      await tx("select $1::int / 0", [1]);
    });
    // Drizzle wraps what its driver throws
    const error: unknown = await attempt.catch((thrown: unknown) => thrown);
    expect(inspect(error)).toContain("division by zero");
    expect(await orders("karl")).toBe(0);
  });

  test("a job enqueued elsewhere runs while the transaction is open, and the one inside waits for its commit", async () => {
    const { id } = await library.transaction(async ({ tx }) => {
      const inside = await bench.client.enqueue(welcome, { who: "lena" }, { tx });
      await bench.until((await bench.client.enqueue(welcome, { who: "mona" })).id, "succeeded");
      expect(await bench.ledger.findJob(inside.id)).toBeUndefined();
      return inside;
    });
    expect((await bench.until(id, "succeeded")).result).toEqual({ greeted: "lena" });
  });
});
