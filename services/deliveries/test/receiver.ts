import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly atMs: number;
}

type Answer = (request: Received, response: ServerResponse) => void;

/** Somebody's webhook endpoint on this machine, that answers as told. */
export interface Receiver extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly received: readonly Received[];
  /** The addresses at which connections came. */
  readonly connections: readonly string[];
  answer(how: Answer): void;
}

export const status =
  (code: number, headers: Record<string, string> = {}, body = ""): Answer =>
  (_request, response) => {
    response.writeHead(code, headers).end(body);
  };

/** Never answers; the server closes such connections at its end. */
export const silence: Answer = () => undefined;

/** `host`: `0.0.0.0` for all addresses of this machine. */
export async function startReceiver(host = "127.0.0.1"): Promise<Receiver> {
  const received: Received[] = [];
  const connections: string[] = [];
  let answer: Answer = status(204);
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value = ""]) => [name, [value].flat().join(", ")]),
    );
    const one = { path: request.url ?? "", headers, body: Buffer.concat(chunks).toString(), atMs: Date.now() };
    received.push(one);
    answer(one, response);
  };
  const server = createServer((request, response) => {
    take(request, response).catch(() => response.destroy());
  });
  server.on("connection", ({ localAddress = "" }) => connections.push(localAddress));
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hooks`,
    port,
    received,
    connections,
    answer(how) {
      answer = how;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
