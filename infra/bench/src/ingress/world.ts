import { migrate } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { freePort, spawnService } from "@warren/testing";
import { Pool } from "pg";
import { installPackages, installRedis } from "../peers/install.ts";
import { startRedis } from "../peers/redis.ts";
import { Role } from "../role.ts";
import { startServers } from "../servers.ts";

/** What the naive route is made of, in a folder of its own: none of it is a dependency of Warren. */
const naivePackages = { express: "5.3.0", stripe: "23.1.0", bullmq: "6.7.0", ioredis: "6.0.0" } as const;

interface Listening {
  readonly pid: number;
  readonly url: string;
  readonly port: number;
}

/** A side of the comparison that takes Stripe's webhooks. */
export interface System extends Listening {
  readonly name: "bare" | "warren" | "naive";
  /** How many webhooks it has durably (Warren), or at least in Redis (naive); `undefined` where nothing is kept. */
  kept(): Promise<number | undefined>;
  forget(): Promise<void>;
}

export interface BenchWorld extends AsyncDisposable {
  readonly pool: Pool;
  readonly bare: Listening;
  readonly byHand: Listening;
  readonly ingress: Listening;
  /** Express, Stripe's library and BullMQ may be missing: then `missing` says why. */
  readonly systems: readonly System[];
  readonly missing: Readonly<Record<string, string>>;
  /** Sends. */
  readonly client: Role;
  readonly githubSecret: string;
  readonly stripeSecret: string;
  readonly versions: Readonly<Record<string, string>>;
}

const githubSecret = "bench-github-secret";
const stripeSecret = "whsec_bench_stripe_secret";

async function listening(role: Role, more: Readonly<Record<string, unknown>> = {}): Promise<Listening> {
  const port = await freePort();
  await role.ask({ do: "listen", port, ...more });
  return { pid: role.pid, port, url: `http://127.0.0.1:${port}` };
}

/** Servers and every side of the ingress benchmark, each a process of its own. */
export async function openBenchWorld(): Promise<BenchWorld> {
  await using stack = new AsyncDisposableStack();
  const servers = stack.use(await startServers());
  await migrate({ connectionString: servers.databaseUrl, log: createLogger({ service: "bench", level: "warn" }) });
  const pool = new Pool({ connectionString: servers.databaseUrl });
  stack.defer(() => pool.end());
  const start = (file: string, name: string, env: Readonly<Record<string, string>> = {}): Role =>
    stack.use(new Role(new URL(file, import.meta.url), name, env));

  const bare = await listening(start("bare-role.ts", "bare Fastify"));
  // rows as large as the body lie in the table as they are, as Warren's do
  await pool.query(`create table by_hand (
    key text primary key, received_at timestamptz not null default statement_timestamp(), body bytea not null
  ) with (toast_tuple_target = 8160)`);
  const byHand = await listening(start("by-hand-role.ts", "by hand"), {
    secret: githubSecret,
    databaseUrl: servers.databaseUrl,
  });
  const ingress = stack.use(
    await spawnService({
      entry: "services/ingress/src/main.ts",
      env: {
        DATABASE_URL: servers.databaseUrl,
        AMQP_URL: servers.amqpUrl,
        LOG_LEVEL: "warn",
        WARREN_SOURCE_GITHUB: "github",
        WARREN_SOURCE_GITHUB_SECRET: githubSecret,
        WARREN_SOURCE_STRIPE: "stripe",
        WARREN_SOURCE_STRIPE_SECRET: stripeSecret,
        WARREN_NOTIFY_EMAIL: "operator@example.com",
        WARREN_MAX_CONNECTIONS_PER_ADDRESS: "5000",
      },
    }),
  );
  const systems: System[] = [
    { ...bare, name: "bare", kept: async () => undefined, forget: async () => undefined },
    {
      name: "warren",
      pid: ingress.pid,
      url: ingress.url,
      port: ingress.port,
      kept: () => countOf(pool, "select count(*) as n from warren.webhook_requests where status = 'accepted'"),
      forget: () => forget(pool),
    },
  ];
  const missing: Record<string, string> = {};
  const versions: Record<string, string> = { ...servers.versions, ...naivePackages };
  const redisVersion = await installRedis();
  if (redisVersion === undefined) missing["naive"] = "no Redis: apt-get install redis-server";
  else {
    versions["redis"] = redisVersion;
    const folder = await installPackages("naive", naivePackages);
    const redis = stack.use(await startRedis("everysec"));
    const role = start("naive-role.ts", "the naive route", {
      BENCH_PEERS: folder,
      BENCH_REDIS_PORT: String(redis.port),
      BENCH_STRIPE_SECRET: stripeSecret,
    });
    systems.push({
      ...(await listening(role)),
      name: "naive",
      kept: async () => (await role.ask<{ kept: number }>({ do: "kept" })).kept,
      forget: async () => {
        await role.ask({ do: "forget" });
      },
    });
  }
  const client = start("client-role.ts", "client");
  const owned = stack.move();
  return {
    pool,
    bare,
    byHand,
    ingress: { pid: ingress.pid, port: ingress.port, url: ingress.url },
    systems,
    missing,
    client,
    githubSecret,
    stripeSecret,
    versions,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function countOf(pool: Pool, sql: string): Promise<number> {
  const { rows } = await pool.query<{ n: string }>(sql);
  return Number(rows[0]?.n);
}

/** Every load begins with empty tables. */
async function forget(pool: Pool): Promise<void> {
  await pool.query("truncate by_hand, warren.jobs, warren.webhook_requests, warren.webhook_dedupe cascade");
  await pool.query("checkpoint");
}
