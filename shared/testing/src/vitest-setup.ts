import { provideServers, serversFromEnvironment } from "./servers.ts";
import { chooseSubstrate, startPrivateBroker, startPrivateDatabase } from "./substrate.ts";

/**
 * Vitest's `globalSetup`: one broker and one database for the whole run, which each test cuts its own world from. Those that
 * WARREN_TEST_* name, else containers, else processes of this machine (see `chooseSubstrate`).
 */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (serversFromEnvironment() !== undefined) return undefined;
  const substrate = await chooseSubstrate();
  const held = new AsyncDisposableStack();
  const starts = [startPrivateBroker(), startPrivateDatabase()] as const;
  for (const result of await Promise.allSettled(starts)) if (result.status === "fulfilled") held.use(result.value);
  const [broker, database] = await Promise.all(starts).catch(async (error: unknown) => {
    await held.disposeAsync();
    throw error;
  });
  provideServers({ amqpUrl: broker.amqpUrl, managementUrl: broker.managementUrl, databaseUrl: database.url });
  process.stderr.write(`[test servers: ${substrate}, RabbitMQ ${broker.version}, PostgreSQL ${database.version}]\n`);
  return () => held.disposeAsync();
}
