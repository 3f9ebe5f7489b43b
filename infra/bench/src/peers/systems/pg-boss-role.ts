import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "pg";
import { importPeer } from "../install.ts";
import { type Handle, type Payload, servePeer } from "../peer.ts";

interface Boss {
  on(event: "error", listener: () => void): void;
  start(): Promise<unknown>;
  createQueue(name: string, options?: object): Promise<void>;
  send(name: string, data: Payload): Promise<unknown>;
  insert(name: string, jobs: readonly { data: Payload }[]): Promise<unknown>;
  work(name: string, options: object, handler: (jobs: readonly { data: Payload }[]) => Promise<void>): Promise<string>;
  offWork(name: string): Promise<void>;
  fetch(name: string): Promise<readonly { id: string; data: Payload }[]>;
  complete(name: string, id: string): Promise<unknown>;
}

/** pg-boss as its documentation tunes it for throughput: whole batches are fetched and settled, without a pause while they come full. */
servePeer(async () => {
  const { PgBoss } = (await importPeer(process.env["BENCH_PEERS"] ?? "", "pg-boss")) as {
    readonly PgBoss: new (options: object) => Boss;
  };
  const connectionString = process.env["BENCH_DATABASE_URL"] ?? "";
  const boss = new PgBoss({ connectionString, max: 10, schedule: false, useListenNotify: true });
  boss.on("error", () => undefined);
  await boss.start();
  await boss.createQueue("peers", { notify: true });
  const pool = new Pool({ connectionString, max: 2 });
  const drained = "select not exists (select from pgboss.job where name = 'peers' and state < 'completed') as drained";
  return {
    addOne: async (data) => {
      await boss.send("peers", data);
    },
    addMany: async (payloads) => {
      await boss.insert(
        "peers",
        payloads.map((data) => ({ data })),
      );
    },
    async work(concurrency, take) {
      if (concurrency === 1) return workOneByOne(boss, take);
      const options = {
        batchSize: concurrency,
        pollingIntervalSeconds: 0.5,
        burstWhenBatchFull: true,
        localConcurrency: 2,
      };
      await boss.work("peers", options, async (jobs) => {
        for (const job of jobs) take(job.data);
      });
      return () => boss.offWork("peers");
    },
    isDrained: async () => (await pool.query<{ drained: boolean }>(drained)).rows[0]?.drained === true,
  };
});

/** Its worker pauses between batches of one; fetching by hand does not. */
async function workOneByOne(boss: Boss, take: Handle): Promise<() => Promise<void>> {
  const stopping = new AbortController();
  const working = (async () => {
    while (!stopping.signal.aborted) {
      const [job] = await boss.fetch("peers");
      if (job === undefined) {
        await sleep(5);
        continue;
      }
      take(job.data);
      await boss.complete("peers", job.id);
    }
  })();
  return () => {
    stopping.abort();
    return working;
  };
}
