import { readFileSync } from "node:fs";
import { jobsTopology } from "@warren/amqp";
import { createClient, openPayloads } from "@warren/jobs";
import { listenError, registerHealthRoutes, runService } from "@warren/service";
import type { FastifyInstance } from "fastify";
import { createIngress } from "./app.ts";
import { ingressConfig } from "./config.ts";
import { configuredSources } from "./sources/reload.ts";

await runService({
  name: "ingress",
  version: "0.1.0",
  defaultPort: 8080,
  config: ingressConfig,
  // a webhook is accepted when Postgres has it; the broker only speeds its job up
  needs: { ledger: true, amqp: "optional" },
  server: "service",
  start: async ({ config, process: own, log, metrics, tracing, health, ledger, session }) => {
    const { sources, reload } = configuredSources({
      env: process.env,
      sources: config.WARREN_SOURCES,
      sourcesFile: process.env["WARREN_SOURCES_FILE"],
      readFile: (path) => readFileSync(path, "utf8"),
    });
    if (sources.size === 0 && config.WARREN_API_KEYS.length === 0) {
      log.warn(
        "no webhook source is configured: set WARREN_SOURCES or WARREN_SOURCE_<NAME>, or make some over the API",
      );
    }

    const jobs = createClient({
      ledger,
      publisher: session.publisher(),
      declare: async (queue) => {
        await session.declare(jobsTopology({ queues: [queue] }));
      },
      log,
      metrics,
    });
    const { WARREN_NOTIFY_EMAIL: email, WARREN_NOTIFY_LOCALE: locale } = config;
    const ingress = createIngress({
      ledger,
      jobs,
      sources,
      reloadSources: reload,
      keyRing: openPayloads(config).keyRing,
      trustedProxies: config.WARREN_TRUSTED_PROXIES,
      notify: email === undefined ? undefined : { id: "operator", email, locale },
      maxInFlight: config.WARREN_MAX_IN_FLIGHT,
      maxBufferedBytes: config.WARREN_MAX_BUFFERED_BYTES,
      connectionLimits: {
        total: config.WARREN_MAX_CONNECTIONS,
        perAddress: config.WARREN_MAX_CONNECTIONS_PER_ADDRESS,
      },
      log,
      metrics,
      tracing,
      apiKeys: config.WARREN_API_KEYS,
    });
    registerHealthRoutes(ingress.app, health, metrics);
    await ingress.start();
    await listen(ingress.app, own.HOST, own.PORT, "PORT");
    if (ingress.api === undefined) log.info("the management API is off: set WARREN_API_KEYS to open it");
    else await listen(ingress.api, own.HOST, config.WARREN_API_PORT, "WARREN_API_PORT");
    log.info(
      { sources: [...sources.values()].map(({ name, provider }) => `${name} (${provider})`) },
      "taking webhooks",
    );

    return {
      quiet: () => ingress.quiet(),
      drain: () => ingress.drain(),
      // publishes what is still to be published; what it does not manage, the dispatcher does
      [Symbol.asyncDispose]: () => jobs[Symbol.asyncDispose](),
    };
  },
});

async function listen(server: FastifyInstance, host: string, port: number, variable: string): Promise<void> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    throw listenError(error, port, variable);
  }
}
