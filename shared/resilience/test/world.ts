import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createLogger, createMetrics } from "@warren/observability";
import { type BreakerChange, createProvider, type OperationOptions } from "../src/index.ts";

/** A provider with everything captured: log lines, metrics, breaker changes. Randomness is 0.5. */
export function providerWorld(report?: (change: BreakerChange) => void | Promise<void>) {
  const lines: string[] = [];
  const changes: BreakerChange[] = [];
  const metrics = createMetrics({ service: "test", version: "0" });
  const log = createLogger({
    service: "test",
    level: "trace",
    destination: { write: (line) => void lines.push(line) },
  });
  let keys = 0;
  const provider = createProvider({
    name: "acme",
    log,
    metrics,
    random: () => 0.5,
    newKey: () => `key-${++keys}`,
    onBreakerChange: async (change) => {
      changes.push(change);
      await report?.(change);
    },
  });
  return { provider, metrics, log, lines, changes, states: () => changes.map((change) => change.state.kind) };
}

/** An operation that fails nobody's patience: short waits, breaker after three failures in a row. */
export function operationOptions(changes: Partial<OperationOptions> = {}): OperationOptions {
  return {
    name: "pay",
    timeoutMs: 30_000,
    bulkhead: { concurrent: 10, queued: 10 },
    breaker: { halfOpenAfterMs: 10_000, threshold: { kind: "consecutive", failures: 3 } },
    retry: { attempts: 1, baseDelayMs: 10, maxDelayMs: 100, safe: true },
    ...changes,
  };
}

interface Received {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export type Answer = (response: ServerResponse, request: Received) => void;

/** A real HTTP server that gives the answers of a list, the last one for ever, and remembers what it received. */
export async function faultyServer(...answers: Answer[]) {
  const received: Received[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const one = {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      received.push(one);
      (answers[received.length - 1] ?? answers.at(-1))?.(response, one);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

export const json =
  (status: number, value: unknown, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));

/** Breaks the connection without an answer. */
export const reset: Answer = (response) => void response.socket?.resetAndDestroy();

/** Never answers. */
export const silence: Answer = () => undefined;
