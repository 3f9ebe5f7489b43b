import { setTimeout as sleep } from "node:timers/promises";
import type { Broker, Database } from "@warren/testing";
import { Client } from "pg";
import { type Fault, nameOf } from "./faults.ts";
import { monoMs } from "./notes.ts";
import type { Place, Struck } from "./processes.ts";

/** A fault as it really came: a busy victim makes it wait. */
export interface Inflicted extends Fault, Struck {
  readonly target: string;
}

export interface Victims {
  readonly workers: readonly Place[];
  readonly dispatchers: readonly Place[];
  readonly broker: Broker;
  readonly database: Database;
}

type Server = Pick<Broker, "kill" | "stop" | "start" | "pause" | "resume">;

/** Carries out the plan, and resolves when the last fault is over. Faults of different victims overlap, those of one do not. */
export async function inflict(
  plan: readonly Fault[],
  victims: Victims,
  tell: (inflicted: Inflicted) => void,
): Promise<readonly Inflicted[]> {
  const startedAt = performance.now();
  const lanes = new Map<string, Promise<unknown>>();
  const strikes = plan.map(async (fault): Promise<Inflicted> => {
    await sleep(Math.max(0, fault.atMs - (performance.now() - startedAt)));
    const target = nameOf(fault);
    const turn = (lanes.get(target) ?? Promise.resolve()).then(() => strike(fault, victims));
    lanes.set(
      target,
      turn.catch(() => undefined),
    );
    const inflicted = { ...fault, target, ...(await turn) };
    tell(inflicted);
    return inflicted;
  });
  return Promise.all(strikes);
}

async function strike(fault: Fault, victims: Victims): Promise<Struck> {
  switch (fault.kind) {
    case "worker":
      return strikeProcess(fault, victims.workers[fault.slot]);
    case "dispatcher":
      return strikeProcess(fault, victims.dispatchers[fault.slot]);
    case "broker":
      return strikeServer(fault, victims.broker);
    case "database":
      if (fault.action !== "sever") return strikeServer(fault, victims.database);
      return timed(() => severSessions(victims.database.url));
    default:
      return fault.kind satisfies never;
  }
}

function strikeProcess({ action, lastsMs }: Fault, victim: Place | undefined): Promise<Struck> {
  if (victim === undefined) throw new RangeError("the plan names a process that there is not");
  if (action === "kill") return victim.kill(lastsMs);
  if (action === "terminate") return victim.terminate(lastsMs);
  return victim.pause(lastsMs);
}

function strikeServer({ action, lastsMs }: Fault, server: Server): Promise<Struck> {
  return timed(async () => {
    if (action === "pause") {
      await server.pause();
      await sleep(lastsMs);
      await server.resume();
      return;
    }
    await (action === "kill" ? server.kill() : server.stop());
    await sleep(lastsMs);
    await startAgain(server);
  });
}

/** On a busy machine a server may need more than one start. */
async function startAgain(server: Server): Promise<void> {
  for (let left = 5; ; left--) {
    try {
      await server.start();
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(1_000);
    }
  }
}

async function timed(work: () => Promise<void>): Promise<Struck> {
  const beganMs = monoMs();
  await work();
  return { beganMs, overMs: monoMs() };
}

/** Ends every session but its own, in whatever statement it is. */
async function severSessions(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'",
    );
  } finally {
    await client.end().catch(() => undefined);
  }
}
