import { importPeer } from "../install.ts";
import { type Payload, servePeer } from "../peer.ts";

interface Queue {
  add(name: string, data: Payload, options: object): Promise<unknown>;
  addBulk(jobs: readonly { name: string; data: Payload; opts: object }[]): Promise<unknown>;
  getJobCounts(...states: string[]): Promise<Record<string, number>>;
}
interface BullMq {
  readonly Queue: new (name: string, options: object, ...backend: unknown[]) => Queue;
  readonly Worker: new (
    name: string,
    processor: (job: { data: Payload }) => Promise<void>,
    options: object,
  ) => { waitUntilReady(): Promise<unknown>; close(): Promise<void>; on(event: "error", listener: () => void): void };
  readonly createPostgresBackend: unknown;
  readonly setDefaultBackendFactory: (factory: unknown) => void;
}

/** BullMQ on Redis, or with `BENCH_BACKEND=postgres` on its own Postgres backend. */
servePeer(async () => {
  const bull = (await importPeer(process.env["BENCH_PEERS"] ?? "", "bullmq")) as BullMq;
  const onPostgres = process.env["BENCH_BACKEND"] === "postgres";
  if (onPostgres) bull.setDefaultBackendFactory(bull.createPostgresBackend);
  const connection = onPostgres
    ? { connectionString: process.env["BENCH_DATABASE_URL"] ?? "", max: 10, migrate: true }
    : { host: "127.0.0.1", port: Number(process.env["BENCH_REDIS_PORT"]), maxRetriesPerRequest: null };
  const queue = new bull.Queue("peers", { connection });
  const options = { removeOnComplete: true };
  return {
    addOne: async (data) => {
      await queue.add("noop", data, options);
    },
    addMany: async (payloads) => {
      await queue.addBulk(payloads.map((data) => ({ name: "noop", data, opts: options })));
    },
    async work(concurrency, take) {
      const worker = new bull.Worker("peers", async (job) => take(job.data), { connection, concurrency });
      worker.on("error", () => undefined);
      await worker.waitUntilReady();
      return () => worker.close();
    },
    async isDrained() {
      const counts = await queue.getJobCounts("wait", "active", "delayed", "prioritized");
      return Object.values(counts).every((count) => count === 0);
    },
  };
});
