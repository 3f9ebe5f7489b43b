import type { AddressInfo } from "node:net";
import { type Ledger, migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics, type Metrics, openTracing } from "@warren/observability";
import type { World } from "@warren/testing";
import { createIngress, type Ingress, type IngressOptions } from "../src/app.ts";
import { loadSources } from "../src/sources/load.ts";
import { watchAnswers } from "./description.ts";
import { githubSecret, hmacHex, standardSecret, stripeSecret } from "./signed.ts";

/** Writes every line, to nowhere: a line that cannot be written fails what writes it. */
export const log = createLogger({ service: "ingress-test", level: "debug", destination: { write: () => undefined } });

const testSources = {
  github: { provider: "github", secrets: [githubSecret] },
  stripe: { provider: "stripe", secrets: [stripeSecret] },
  standard: { provider: "standard-webhooks", secrets: [standardSecret] },
  generic: { provider: "hmac", secrets: ["s3cret"], options: { header: "x-sig" }, maxBodyBytes: 1_000 },
  yookassa: { provider: "yookassa", options: { addresses: ["127.0.0.0/8"] } },
  expired: { provider: "github", secrets: [{ value: githubSecret, notAfter: "2020-01-01T00:00:00Z" }] },
};

export interface RunningIngress extends AsyncDisposable {
  readonly ingress: Ingress;
  readonly url: string;
  readonly port: number;
  readonly ledger: Ledger;
  readonly metrics: Metrics;
  /** Jobs that workers were told of. */
  readonly announced: { readonly id: string; readonly queue: string }[];
}

export interface IngressOverrides extends Partial<Omit<IngressOptions, "sources">> {
  readonly databaseUrl?: string;
  readonly sources?: Readonly<Record<string, unknown>>;
}

/** Migrates the world's database; once a test, before the first ingress. */
export async function prepare(world: World): Promise<void> {
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
}

/** An ingress that listens on a free port, on a ledger of its own. */
export async function startIngress(world: World, overrides: IngressOverrides = {}): Promise<RunningIngress> {
  const { databaseUrl = world.databaseUrl, sources = testSources, ...rest } = overrides;
  const metrics = createMetrics({ service: "ingress", version: "0" });
  const ledger = await openLedger({
    connectionString: databaseUrl,
    schema: world.schema,
    log,
    connectTimeoutMs: 2_000,
  });
  const announced: { readonly id: string; readonly queue: string }[] = [];
  const ingress = createIngress({
    ledger,
    jobs: { announce: (jobs) => announced.push(...jobs) },
    sources: loadSources({ env: {}, sources: JSON.stringify(sources), readFile: () => "" }),
    trustedProxies: [],
    notify: { id: "operator", email: "operator@example.com", locale: "en" },
    maxInFlight: 1_000,
    maxBufferedBytes: 16_777_216,
    log,
    metrics,
    tracing: openTracing({ service: "ingress", sampleRatio: 0 }),
    ...rest,
  });
  const answers = ingress.api === undefined ? undefined : watchAnswers(ingress.api, ingress.app);
  await ingress.start();
  await ingress.app.listen({ host: "127.0.0.1", port: 0 });
  const { port } = ingress.app.server.address() as AddressInfo;
  return {
    ingress,
    url: `http://127.0.0.1:${port}`,
    port,
    ledger,
    metrics,
    announced,
    [Symbol.asyncDispose]: async () => {
      await ingress.quiet();
      await ingress.drain();
      await ledger[Symbol.asyncDispose]();
      const wrong = answers?.wrong() ?? [];
      if (wrong.length > 0) throw new Error(`answers are not as the OpenAPI description says:\n${wrong.join("\n")}`);
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export async function post(
  running: Pick<RunningIngress, "url">,
  source: string,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<Answer> {
  const response = await fetch(`${running.url}/webhooks/${source}`, { method: "POST", headers, body });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer["body"] };
}

export function githubHeaders(body: string, delivery: string, secret: string = githubSecret): Record<string, string> {
  return {
    "content-type": "application/json",
    "x-github-event": "push",
    "x-github-delivery": delivery,
    "x-hub-signature-256": `sha256=${hmacHex(secret, body)}`,
  };
}

type Rows = readonly Readonly<Record<string, unknown>>[];

export async function requestsOf({ ledger }: Pick<RunningIngress, "ledger">): Promise<Rows> {
  return (await ledger.query(`select * from ${ledger.table("webhook_requests")} order by id`, [])).rows;
}

export async function jobsOf({ ledger }: Pick<RunningIngress, "ledger">): Promise<Rows> {
  return (await ledger.query(`select * from ${ledger.table("jobs")} order by id`, [])).rows;
}
