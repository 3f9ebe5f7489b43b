/** The broker and the database of a test run. */
export interface TestServers {
  /** `amqp://user:password@host:port`, without a vhost. */
  readonly amqpUrl: string;
  readonly managementUrl: string;
  readonly databaseUrl: string;
}

const names = {
  amqpUrl: "WARREN_TEST_AMQP_URL",
  managementUrl: "WARREN_TEST_RABBITMQ_MANAGEMENT_URL",
  databaseUrl: "WARREN_TEST_DATABASE_URL",
} as const;

/** The servers that the environment names, or `undefined` when it names none. Naming only some of them is a mistake. */
export function serversFromEnvironment(env: NodeJS.ProcessEnv = process.env): TestServers | undefined {
  const amqpUrl = env[names.amqpUrl];
  const managementUrl = env[names.managementUrl];
  const databaseUrl = env[names.databaseUrl];
  if (amqpUrl && managementUrl && databaseUrl) return { amqpUrl, managementUrl, databaseUrl };
  if (amqpUrl || managementUrl || databaseUrl) {
    throw new Error(
      `set all of ${Object.values(names).join(", ")} to test against servers of your own, or none of them`,
    );
  }
  return undefined;
}

/** Puts the servers into the environment, where the test workers find them. */
export function provideServers(servers: TestServers, env: NodeJS.ProcessEnv = process.env): void {
  env[names.amqpUrl] = servers.amqpUrl;
  env[names.managementUrl] = servers.managementUrl;
  env[names.databaseUrl] = servers.databaseUrl;
}

/** The servers of this test run. Throws outside a run that was set up by `vitest-setup.ts`. */
export function testServers(): TestServers {
  const servers = serversFromEnvironment();
  if (servers === undefined) {
    throw new Error(
      "no test servers: run under `npm run integration`, or add shared/testing/src/vitest-setup.ts to globalSetup",
    );
  }
  return servers;
}
