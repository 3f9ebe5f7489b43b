import type { Health, HealthAnswer, Metrics } from "@warren/observability";

/** What we need of a Fastify reply. */
export interface HealthReply {
  code(status: number): HealthReply;
  header(name: string, value: string): HealthReply;
}

/** What we need of a Fastify instance, whatever its logger and type provider. */
export interface HealthHost {
  get(
    path: string,
    options: { readonly logLevel: "silent" },
    handler: (request: unknown, reply: HealthReply) => Promise<unknown>,
  ): unknown;
}

/**
 * Adds `/livez`, `/readyz`, `/healthz` and `/metrics` to a server. Not logged, not authenticated, never cached: keep the port, or these
 * paths, away from the public. Machines read the status (200 or 503), people the JSON.
 */
export function registerHealthRoutes(
  fastify: HealthHost,
  health: Health,
  metrics: Pick<Metrics, "text" | "contentType">,
): void {
  const silent = { logLevel: "silent" } as const;
  fastify.get("/livez", silent, async (_request, reply) => send(reply, health.livez()));
  fastify.get("/readyz", silent, async (_request, reply) => send(reply, await health.readyz()));
  fastify.get("/healthz", silent, async (_request, reply) => send(reply, await health.healthz()));
  fastify.get("/metrics", silent, async (_request, reply) => {
    const text = await metrics.text();
    reply.header("content-type", metrics.contentType).header("cache-control", "no-store");
    return text;
  });
}

function send(reply: HealthReply, { httpStatus, body }: HealthAnswer): unknown {
  reply.code(httpStatus).header("cache-control", "no-store");
  return body;
}
