import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createEndpoints, parseKeyRing } from "@warren/jobs";
import { migrate, openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { freePort, type ServiceProcess, spawnService } from "@warren/testing";
import { Pool } from "pg";
import type { Load } from "../ingress/client-role.ts";
import { cpuTimes } from "../ingress/cpu.ts";
import type { BenchOptions } from "../main.ts";
import { keepResult } from "../results.ts";
import { Role } from "../role.ts";
import { startServers } from "../servers.ts";
import { median } from "../statistics.ts";

const defaultEndpoints = 5_000;
const bodyBytes = 2_048;
const webhooks = { perSecond: 100, bodyBytes: 2_048, connections: 8 } as const;
const apiKey = "bench-0123456789abcdef0123456789abcdef";
const stripeSecret = "whsec_bench_stripe_secret";
const payloadKeys = `bench:${Buffer.alloc(32, 7).toString("base64")}`;
const longestMs = 300_000;

interface Fan {
  /** From the call of the API until the last delivery job was in the ledger; until the last delivery was at its endpoint. */
  readonly jobsMs: number;
  readonly deliveredMs: number;
  readonly perSecond: number;
  readonly lost: number;
  readonly doubled: number;
  /** Of all processes, for each delivery. */
  readonly statements: number;
  readonly transactions: number;
  /** The deliveries process, before and at its highest meanwhile. */
  readonly rssMiB: { readonly before: number; readonly peak: number };
  /** CPU microseconds a delivery: on a machine that others use too they say more than the rate. */
  readonly cpuUs: { readonly deliveries: number; readonly postgres: number; readonly broker: number };
  /** Webhooks of another source meanwhile. */
  readonly acks: Pick<Load, "sent" | "taken" | "refused" | "broken" | "p50Ms" | "p99Ms" | "maxMs">;
}

/**
 * One event of 2 KB to 5,000 endpoints (`--count`), through the API, the fan-out, the governed queue and HTTP, until the last has arrived at a
 * receiver on this machine; beside it the ingress takes 100 webhooks a second of another source. Every service is a process of its own.
 */
export async function run(options: BenchOptions): Promise<void> {
  const count = options.count ?? defaultEndpoints;
  await using stack = new AsyncDisposableStack();
  const servers = stack.use(await startServers({ shared_preload_libraries: "pg_stat_statements" }));
  const log = createLogger({ service: "bench", level: "warn" });
  await migrate({ connectionString: servers.databaseUrl, log });
  const pool = new Pool({ connectionString: servers.databaseUrl });
  stack.defer(() => pool.end());
  await pool.query("create extension pg_stat_statements");
  const receiver = stack.use(new Role(new URL("receiver-role.ts", import.meta.url), "receiver", {}));
  const client = stack.use(new Role(new URL("../ingress/client-role.ts", import.meta.url), "client", {}));
  const { port } = await receiver.ask<{ port: number }>({ do: "listen" });
  await makeEndpoints(servers.databaseUrl, count, port);
  const apiPort = await freePort();
  const start = async (name: string, env: Readonly<Record<string, string>> = {}): Promise<ServiceProcess> =>
    stack.use(
      await spawnService({
        entry: `services/${name}/src/main.ts`,
        env: {
          DATABASE_URL: servers.databaseUrl,
          AMQP_URL: servers.amqpUrl,
          LOG_LEVEL: "warn",
          WARREN_PAYLOAD_KEYS: payloadKeys,
          ...env,
        },
      }),
    );
  const ingress = await start("ingress", {
    WARREN_API_KEYS: apiKey,
    WARREN_API_PORT: String(apiPort),
    WARREN_SOURCE_STRIPE: "stripe",
    WARREN_SOURCE_STRIPE_SECRET: stripeSecret,
    WARREN_NOTIFY_EMAIL: "operator@example.com",
  });
  await start("dispatcher");
  const deliveries = await start("deliveries", { WARREN_DELIVERY_ALLOW: "127.0.0.0/8" });

  const send = (seconds: number): Promise<Load> =>
    client.ask<Load>({
      do: "open",
      port: ingress.port,
      secret: stripeSecret,
      runId: String(performance.now()),
      seconds,
      ...webhooks,
    });
  const fan = async (seconds: number): Promise<Fan> => {
    await receiver.ask({ do: "reset" });
    await pool.query("select pg_stat_statements_reset()");
    const eventId = `evt_${performance.now()}`;
    const before = await transactions(pool);
    const cpuBefore = cpuTimes(deliveries.pid);
    const rssBefore = await memory(deliveries.pid, "VmRSS");
    await forgetPeak(deliveries.pid);
    const acked = send(seconds);
    const beganAt = Date.now();
    await publish(apiPort, eventId);
    const came = await arrivals(receiver, count, beganAt);
    const cpu = cpuTimes(deliveries.pid);
    const peak = await memory(deliveries.pid, "VmHWM");
    const { sent, taken, refused, broken, p50Ms, p99Ms, maxMs } = await acked;
    const { rows } = await pool.query<{ calls: string }>("select sum(calls) as calls from pg_stat_statements");
    const jobsMs = (await lastJobAt(pool, eventId)) - beganAt;
    const deliveredMs = came.lastAt - beganAt;
    // those of the webhooks beside it are few, and counted too
    const each = (total: number): number => Math.round((total / count) * 100) / 100;
    return {
      jobsMs,
      deliveredMs,
      perSecond: Math.round((count / deliveredMs) * 1_000),
      lost: count - came.unique,
      doubled: came.doubled,
      statements: each(Number(rows[0]?.calls)),
      transactions: each((await transactions(pool)) - before),
      rssMiB: { before: rssBefore, peak },
      cpuUs: {
        deliveries: Math.round((cpu.server - cpuBefore.server) / count),
        postgres: Math.round((cpu.postgres - cpuBefore.postgres) / count),
        broker: Math.round((cpu.broker - cpuBefore.broker) / count),
      },
      acks: { sent, taken, refused, broken, p50Ms, p99Ms, maxMs },
    };
  };

  console.log(`${count} endpoints; warming up`);
  const warm = await fan(1);
  const seconds = Math.max(1, warm.deliveredMs / 1_000);
  const idle = await send(3);
  const runs: Fan[] = [];
  for (let number = 1; number <= options.runs; number += 1) {
    runs.push(await fan(seconds));
    console.log(`run ${number}:`, JSON.stringify(runs.at(-1)));
  }
  const middle = (of: (run: Fan) => number): number => Math.round(median(runs.map(of)) * 100) / 100;
  await keepResult({
    bench: "fanout",
    settings: { endpoints: count, bodyBytes, webhooks, ...servers.versions },
    runs: runs.map((one, index) => ({ run: index + 1, ...one })),
    summary: {
      jobsMs: middle(({ jobsMs }) => jobsMs),
      deliveredMs: middle(({ deliveredMs }) => deliveredMs),
      perSecond: middle(({ perSecond }) => perSecond),
      statementsEach: middle(({ statements }) => statements),
      transactionsEach: middle((one) => one.transactions),
      cpuUsEach: {
        deliveries: middle(({ cpuUs }) => cpuUs.deliveries),
        postgres: middle(({ cpuUs }) => cpuUs.postgres),
        broker: middle(({ cpuUs }) => cpuUs.broker),
      },
      rssPeakMiB: Math.max(...runs.map(({ rssMiB }) => rssMiB.peak)),
      ackMsMeanwhile: { p50: middle(({ acks }) => acks.p50Ms), p99: middle(({ acks }) => acks.p99Ms) },
      ackMsIdle: { p50: idle.p50Ms, p99: idle.p99Ms },
      lost: runs.reduce((sum, { lost }) => sum + lost, 0),
      doubled: runs.reduce((sum, { doubled }) => sum + doubled, 0),
    },
  });
}

async function makeEndpoints(connectionString: string, count: number, port: number): Promise<void> {
  await using ledger = await openLedger({ connectionString, log: createLogger({ service: "bench", level: "warn" }) });
  const endpoints = createEndpoints({ ledger, keyRing: parseKeyRing(payloadKeys) });
  const numbers = Array.from({ length: count }, (_, number) => number).values();
  const lane = async (): Promise<void> => {
    for (const number of numbers) await endpoints.create({ url: `http://127.0.0.1:${port}/${number}` });
  };
  await Promise.all(Array.from({ length: 8 }, lane));
}

async function publish(apiPort: number, eventId: string): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${apiPort}/api/v1/outbound-events`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ eventType: "invoice.paid", eventId, payload: { note: "x".repeat(bodyBytes) } }),
  });
  if (answer.status !== 202) throw new Error(`${answer.status}: ${await answer.text()}`);
}

interface Arrivals {
  readonly unique: number;
  readonly doubled: number;
  readonly lastAt: number;
}

/** Until all are there, and then for as long as a doubled one might take to come. */
async function arrivals(receiver: Role, count: number, beganAt: number): Promise<Arrivals> {
  const look = () => receiver.ask<Arrivals>({ do: "count" });
  while ((await look()).unique < count && Date.now() - beganAt < longestMs) await sleep(50);
  const { lastAt } = await look();
  await sleep(500);
  return { ...(await look()), lastAt };
}

/** When the ledger got the last of the event's deliveries, by its clock, which is this machine's. */
async function lastJobAt(pool: Pool, eventId: string): Promise<number> {
  const { rows } = await pool.query<{ ms: string }>(
    `select extract(epoch from max(created_at)) * 1000 as ms from (
       select created_at from warren.jobs where name = 'deliver-webhook' and payload->>'eventId' = $1
       union all select created_at from warren.jobs_history where name = 'deliver-webhook' and payload->>'eventId' = $1
     ) as made`,
    [eventId],
  );
  return Math.round(Number(rows[0]?.ms));
}

async function transactions(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ n: string }>(
    "select xact_commit as n from pg_stat_database where datname = current_database()",
  );
  return Number(rows[0]?.n);
}

async function memory(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status) ?? [];
  return Math.round(Number(kib) / 1024);
}

/** The highest resident set is counted from now on (Linux). */
const forgetPeak = (pid: number): Promise<void> => writeFile(`/proc/${pid}/clear_refs`, "5");
