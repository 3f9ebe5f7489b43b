import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "@warren/jobs";
import type { Ledger } from "@warren/ledger";
import { type Node, nodes, orderFlow } from "./flow.ts";
import { capped, delayed, exact, happened, joined, latest, loose, ordered, rated, single } from "./jobs.ts";
import { atPace, oneByOne } from "./pace.ts";
import type { Promises } from "./promises.ts";
import { createRandom } from "./random.ts";

export interface LoadOptions {
  readonly client: Client;
  readonly ledger: Pick<Ledger, "transaction" | "flows">;
  readonly promises: Promises;
  readonly seed: number;
  /** Multiplies all paces. */
  readonly rate: number;
  readonly stopping: AbortSignal;
}

const keys = ["anna", "ben", "cleo", "dora", "emil"] as const;

/** What is asked for, from a seed; when it comes depends on the machine. Resolves when every call is answered or given up. */
export async function runLoad({ client, ledger, promises, seed, rate, stopping }: LoadOptions): Promise<void> {
  const random = createRandom(seed, "load");
  let last = 0;
  const nextNumber = (): number => ++last;
  /** Most work is short, and one in six fails once or twice before it succeeds. */
  const work = (number: number, mostMs = 60) => ({
    number,
    takesMs: random.whole(0, mostMs),
    failures: random.chance(1 / 6) ? random.whole(1, 2) : 0,
  });
  const pace = (perSecond: number, call: () => Promise<unknown>): Promise<void> =>
    atPace(perSecond * rate, stopping, async () => void (await call()));

  /** Half of the callers try again under the same id until they know; the others live with not knowing. */
  function plain(definition: typeof loose, options: { readonly key?: string } = {}, mostMs?: number) {
    const number = nextNumber();
    const payload = work(number, mostMs);
    const call = { kind: definition.name, number, key: options.key ?? "" };
    if (random.chance(0.5)) return promises.once(call, () => client.enqueue(definition, payload, options));
    return promises.until(call, () => client.enqueue(definition, payload, { ...options, id: `n-${number}` }));
  }

  function later() {
    const number = nextNumber();
    const payload = work(number);
    const at = new Date(Date.now() + random.whole(200, 8_000));
    const call = { kind: delayed.name, number, key: "" };
    return promises.until(call, () => client.enqueue(delayed, payload, { at, id: `n-${number}` }));
  }

  /** The caller's own row and the job, in one transaction of the caller. */
  function withRow() {
    const number = nextNumber();
    const payload = work(number);
    return promises.once({ kind: joined.name, number, key: "" }, () =>
      ledger.transaction(async (tx) => {
        await tx("insert into chaos.orders (number) values ($1)", [number]);
        return client.enqueue(joined, payload, { tx });
      }),
    );
  }

  /** Jobs of one key one after the other: the order of the answers is the order that must be kept. */
  const inOrder = (key: string) =>
    oneByOne(1.2 * rate, stopping, async () => {
      const number = nextNumber();
      const payload = work(number);
      const call = { kind: ordered.name, number, key };
      await promises.until(call, () => client.enqueue(ordered, payload, { key, id: `n-${number}` }));
    });

  function once() {
    const number = nextNumber();
    const key = random.pick(["anna", "ben"]);
    const payload = work(number, 400);
    return promises.once({ kind: single.name, number, key }, () =>
      client.enqueue(single, payload, { key, unique: { key } }),
    );
  }

  /** Each call is a newer state of the same thing; a call without an answer is followed by another. */
  const newest = (key: string) =>
    oneByOne(rate, stopping, async () => {
      for (let known = false; !known; ) {
        const number = nextNumber();
        const payload = work(number, 400);
        const call = { kind: latest.name, number, key };
        known = await promises.once(call, () => client.enqueue(latest, payload, { key, unique: { key } }));
        if (!known) await sleep(150);
      }
    });

  async function flow(): Promise<void> {
    const number = nextNumber();
    const fatal: Node | undefined = random.chance(0.35) ? random.pick(nodes) : undefined;
    const { takesMs, failures } = work(number, 150);
    const cancelAfterMs = random.chance(0.15) ? random.whole(0, 1_500) : undefined;
    const plan = orderFlow({ number, takesMs, failures, fatal });
    const started = await promises.insist("flow", () => client.startFlow(plan, { id: String(number) }));
    const cancelled = started !== undefined && cancelAfterMs !== undefined;
    promises.flows.push({ number, answer: started === undefined ? "unknown" : "acked", fatal, cancelled });
    if (!cancelled) return;
    await sleep(cancelAfterMs);
    await promises.insist("flow.cancel", () =>
      ledger.flows.cancel(started.id, { reason: "second thoughts", by: "chaos" }),
    );
  }

  /** Straight to the broker, to the broker or else the outbox, or with the caller's transaction. */
  function event() {
    const number = nextNumber();
    const data = work(number);
    const call = { kind: happened.type, number, key: "" };
    const way = random.whole(0, 3);
    const publish = async (more: object) => {
      const { id } = await client.publish(happened, data, { id: `e-${number}`, ...more });
      return { id, created: true };
    };
    if (way === 0) return promises.once(call, () => publish({ deadlineMs: 3_000 }));
    if (way === 1) return promises.until(call, () => publish({ deadlineMs: 3_000 }));
    if (way === 2) return promises.until(call, () => publish({ durable: true }));
    return promises.once(call, () => ledger.transaction((tx) => publish({ tx })));
  }

  await Promise.all([
    pace(4, () => plain(loose)),
    pace(5, () => plain(exact)),
    pace(2, later),
    pace(2, withRow),
    pace(5, () => plain(capped, { key: random.pick(keys) }, 800)),
    // in waves, so that the limit is what they meet
    pace(0.5, () => Promise.all(Array.from({ length: 10 }, () => plain(rated)))),
    pace(5, once),
    pace(1, flow),
    pace(4, event),
    ...keys.map(inOrder),
    ...keys.slice(0, 3).map(newest),
  ]);
}
