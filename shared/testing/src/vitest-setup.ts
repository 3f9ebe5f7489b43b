import { serversFromEnvironment } from "./servers.ts";

/** Vitest's `globalSetup`: one broker and one database for the whole run. */
export async function setup(): Promise<void> {
  if (serversFromEnvironment() !== undefined) return;
  throw new Error("set WARREN_TEST_AMQP_URL, WARREN_TEST_RABBITMQ_MANAGEMENT_URL and WARREN_TEST_DATABASE_URL");
}
