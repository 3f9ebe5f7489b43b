import { WarrenError } from "@warren/contracts";
import type { Health, Metrics } from "@warren/observability";
import fastify from "fastify";
import { registerHealthRoutes } from "./health-routes.ts";

export interface HealthServer extends AsyncDisposable {
  /** The port it really listens on. */
  readonly port: number;
}

/**
 * Serves the health routes alone.
 * @throws WarrenError SERVICE_PORT_TAKEN
 */
export async function openHealthServer(options: {
  readonly host: string;
  readonly port: number;
  readonly health: Health;
  readonly metrics: Metrics;
}): Promise<HealthServer> {
  const server = fastify({ logger: false, forceCloseConnections: true });
  registerHealthRoutes(server, options.health, options.metrics);
  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (error) {
    throw listenError(error, options.port);
  }
  const address = server.server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    port,
    async [Symbol.asyncDispose]() {
      await server.close();
    },
  };
}

/** Turns "address in use" into a sentence with the way out; other errors pass. For services that listen themselves, too. */
export function listenError(error: unknown, port: number, variable = "PORT"): unknown {
  if (!(error instanceof Error) || !("code" in error) || error.code !== "EADDRINUSE") return error;
  return new WarrenError(
    "SERVICE_PORT_TAKEN",
    `port ${port} is taken by another program: set ${variable} to a free one`,
    {
      cause: error,
      details: { port, variable },
    },
  );
}
