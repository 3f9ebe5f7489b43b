import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLocalPostgres, startLocalRabbit } from "@warren/testing";

export interface Servers extends AsyncDisposable {
  readonly amqpUrl: string;
  readonly databaseUrl: string;
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * A broker and a database of the benchmark's own, on loopback, with their default durability: fsync on, synchronous commits. `settings` are
 * further ones of Postgres.
 */
export async function startServers(settings: Readonly<Record<string, string>> = {}): Promise<Servers> {
  const folder = await mkdtemp(join(tmpdir(), "warren-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const broker = stack.use(await startLocalRabbit({ dataDir: join(folder, "rabbitmq") }));
  const database = stack.use(await startLocalPostgres({ dataDir: join(folder, "postgres"), settings }));
  const owned = stack.move();
  return {
    amqpUrl: broker.amqpUrl,
    databaseUrl: database.url,
    versions: { rabbitmq: broker.version, postgres: database.version },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
