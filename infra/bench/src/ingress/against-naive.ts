import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Load } from "./client-role.ts";
import { type BenchWorld, countOf, type System } from "./world.ts";

const connections = 64;
const shares = [0.25, 0.5, 0.75, 0.9] as const;
const sizes = [200, 2_048, 65_536, 1_000_000] as const;
/** As many bytes under way as fit into the budget of an ingress. */
const bytesAtOnce = 64_000_000;

interface Options {
  readonly seconds: number;
}

let loads = 0;
/** No two loads share an event. */
function newRun(): string {
  loads += 1;
  return `${loads.toString(36)}r`;
}

type Order = Readonly<Record<string, unknown>> & { readonly do: "closed" | "open" | "burst" };

/** One load on one system, from empty tables; `lost`: answered 2xx and not kept, `beyond`: kept without a 2xx. */
async function load({ client, stripeSecret }: BenchWorld, system: System, order: Order) {
  await system.forget();
  const result = await client.ask<Load>({
    secret: stripeSecret,
    port: system.port,
    runId: newRun(),
    bodyBytes: 2_048,
    ...order,
  });
  const kept = await system.kept();
  const { sent, taken, refused, broken, seconds, p50Ms, p90Ms, p99Ms, p999Ms, maxMs } = result;
  return {
    perSecond: Math.round(taken / seconds),
    sent,
    taken,
    refused,
    broken,
    p50Ms,
    p90Ms,
    p99Ms,
    p999Ms,
    maxMs,
    ...(kept === undefined ? {} : { lost: Math.max(0, taken - kept), beyond: Math.max(0, kept - taken) }),
  };
}

async function each<T>(world: BenchWorld, measure: (system: System) => Promise<T>): Promise<Record<string, T>> {
  const found: Record<string, T> = {};
  for (const system of world.systems) {
    found[system.name] = await measure(system);
    console.log(system.name, JSON.stringify(found[system.name]));
  }
  return found;
}

/** The peak in a closed loop, and then what is answered when, at shares of it, in an open loop. */
export function measureLevels(world: BenchWorld, { seconds }: Options): Promise<Record<string, unknown>> {
  return each(world, async (system) => {
    await load(world, system, { do: "closed", connections, seconds: Math.min(2, seconds) });
    const peak = await load(world, system, { do: "closed", connections, seconds });
    const levels: Record<string, unknown> = {};
    for (const share of shares) {
      const perSecond = Math.max(1, Math.round(peak.perSecond * share));
      const due = { do: "open", connections: connections * 4, seconds, perSecond } as const;
      levels[`${share * 100} %`] = { due: perSecond, ...(await load(world, system, due)) };
    }
    return { peak, levels };
  });
}

/** The peak for bodies of other sizes. */
export function measureSizes(world: BenchWorld, { seconds }: Options): Promise<Record<string, unknown>> {
  return each(world, async (system) => {
    const found: Record<string, unknown> = {};
    for (const bodyBytes of sizes) {
      const atOnce = Math.min(connections, Math.floor(bytesAtOnce / bodyBytes));
      const measured = await load(world, system, { do: "closed", connections: atOnce, seconds, bodyBytes });
      found[`${bodyBytes} B`] = {
        connections: atOnce,
        mbPerSecond: Math.round((measured.perSecond * bodyBytes) / 1e5) / 10,
        ...measured,
      };
    }
    return found;
  });
}

/** One event, over and over: what is made of it. */
export function measureDuplicates(world: BenchWorld, count: number): Promise<Record<string, unknown>> {
  return each(world, async (system) => {
    const {
      lost: _,
      beyond: __,
      ...measured
    } = await load(world, system, { do: "burst", connections, count, sameId: true });
    const kept = await system.kept();
    const jobs = system.name === "warren" ? await countOf(world.pool, "select count(*) as n from warren.jobs") : kept;
    return { ...measured, accepted: kept, jobs };
  });
}

/** Memory while connections trickle, and what they do to webhooks that come whole meanwhile. */
export function measureSlow(world: BenchWorld, count: number, { seconds }: Options): Promise<Record<string, unknown>> {
  return each(world, async (system) => {
    const perSecond = 200;
    await load(world, system, { do: "open", connections, seconds, perSecond });
    const alone = await load(world, system, { do: "open", connections, seconds, perSecond });
    const before = rssMib(system.pid);
    const { open } = await world.client.ask<{ open: number }>({ do: "slow", port: system.port, count });
    await sleep(1_000);
    const held = rssMib(system.pid);
    const beside = await load(world, system, { do: "open", connections, seconds, perSecond });
    await world.client.ask({ do: "slow-end" });
    const grownMib = Math.round((held - before) * 10) / 10;
    return {
      slow: open,
      beforeMib: Math.round(before),
      grownMib,
      kibEach: Math.round((grownMib * 1024) / count),
      alone,
      beside,
    };
  });
}

function rssMib(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(kib) / 1024;
}
