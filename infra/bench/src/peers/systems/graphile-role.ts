import { Pool } from "pg";
import { importPeer } from "../install.ts";
import { type Payload, servePeer } from "../peer.ts";

interface Utils {
  migrate(): Promise<void>;
  addJob(name: string, payload: Payload): Promise<unknown>;
  addJobs(jobs: readonly { identifier: string; payload: Payload }[]): Promise<unknown>;
}
interface Graphile {
  readonly makeWorkerUtils: (options: object) => Promise<Utils>;
  readonly run: (options: object) => Promise<{ stop(): Promise<void> }>;
  readonly Logger: new (factory: () => () => void) => unknown;
}

/** graphile-worker by default, or with `BENCH_BATCHED=1` as its own benchmark tunes it: local queue, batched completion without delay. */
servePeer(async () => {
  const graphile = (await importPeer(process.env["BENCH_PEERS"] ?? "", "graphile-worker")) as Graphile;
  const connectionString = process.env["BENCH_DATABASE_URL"] ?? "";
  const logger = new graphile.Logger(() => () => undefined);
  const pgPool = new Pool({ connectionString, max: 12 });
  pgPool.on("error", () => undefined);
  pgPool.on("connect", (client) => client.on("error", () => undefined));
  const utils = await graphile.makeWorkerUtils({ pgPool, logger });
  await utils.migrate();
  const drained = "select not exists (select from graphile_worker._private_jobs) as drained";
  const batched = process.env["BENCH_BATCHED"] === "1";
  return {
    addOne: async (payload) => {
      await utils.addJob("noop", payload);
    },
    addMany: async (payloads) => {
      await utils.addJobs(payloads.map((payload) => ({ identifier: "noop", payload })));
    },
    async work(concurrency, take) {
      const worker = {
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        localQueue: { size: Math.max(concurrency + 1, 500) },
      };
      const runner = await graphile.run({
        pgPool,
        logger,
        concurrency,
        noHandleSignals: true,
        taskList: { noop: (payload: Payload) => take(payload) },
        ...(batched ? { preset: { worker } } : {}),
      });
      return () => runner.stop();
    },
    isDrained: async () => (await pgPool.query<{ drained: boolean }>(drained)).rows[0]?.drained === true,
  };
});
