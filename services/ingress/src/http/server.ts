import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type ErrorCode, errorCatalogue, problemContentType } from "@warren/contracts";
import type { Logger } from "@warren/observability";
import Fastify, { type ConnectionError, type FastifyError, type FastifyInstance } from "fastify";
import type { Connections } from "./connections.ts";
import { framingFault, pathOf } from "./framing.ts";
import { afterOwedAnswer } from "./owed.ts";
import { sendProblem } from "./problem.ts";

/** How long a request may take to arrive as a whole, headers and body: bounds senders that trickle. */
const requestTimeoutMs = 30_000;
/** How long its headers alone may take. */
const headersTimeoutMs = 15_000;
/** How often both are looked at; so late they may be. */
const timeoutsCheckedMs = 5_000;
/** How long nothing may move on a connection, as when its sender takes no answers: longer than any work on a request. */
const silenceTimeoutMs = 90_000;
/** Longer than load balancers keep theirs (60 s), so that they never send into a connection that we are closing. */
const keepAliveTimeoutMs = 72_000;
/** All header lines of a request, and its target. */
const maxHeaderBytes = 16_384;

export interface Server {
  readonly app: FastifyInstance;
  readonly isClosing: () => boolean;
}

export interface ServerOptions {
  readonly connections: Connections;
  readonly log: Logger;
}

/** A server that leaves bodies alone, logs no request, and answers every error with a problem document. */
export function createServer({ connections, log }: ServerOptions): Server {
  let closing = false;
  const app = Fastify({
    logger: false,
    http: {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: timeoutsCheckedMs,
      insecureHTTPParser: false,
    },
    requestTimeout: requestTimeoutMs,
    connectionTimeout: silenceTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    // while we close, what comes on open connections is still served, and its connection closed with the answer
    return503OnClosing: false,
    forceCloseConnections: "idle",
    requestIdHeader: false,
    exposeHeadRoutes: false,
    rewriteUrl: ({ url }) => pathOf(url),
    clientErrorHandler: (error, socket) => {
      // requests that came whole in the same packet are noted as such a little later
      setImmediate(() => afterOwedAnswer(socket, () => answerClientError(error, socket, "WEBHOOK_BODY_INCOMPLETE")));
    },
    frameworkErrors: (_error, _request, reply) => {
      // the message quotes the address, which may hold a secret
      void sendProblem(reply, 400, "HTTP_BAD_REQUEST", { detail: "the path is not valid" });
    },
  });
  // a sender that has said all and closed its half still waits for its answer
  Object.assign(app.server, { httpAllowHalfOpen: true });
  // Node leaves out headers beyond its limit without a word; `framingFault` refuses them
  app.server.maxHeadersCount = 0;
  app.server.on("connection", (socket) => connections.admit(socket));
  app.addHook("preClose", (done) => {
    closing = true;
    connections.closeSilent();
    done();
  });
  app.addHook("onRequest", (request, reply, done) => {
    const fault = framingFault(request.raw);
    if (fault === undefined) {
      done();
      return;
    }
    // where its end lies is uncertain: nothing after it is read
    reply.header("connection", "close");
    void sendProblem(reply, fault.status, "HTTP_BAD_REQUEST", { detail: fault.detail });
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => {
    done(null);
  });
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 404, "HTTP_NOT_FOUND"));
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) return sendProblem(reply, status, "HTTP_BAD_REQUEST", { detail: error.message });
    log.error({ err: error }, "a request failed");
    return sendProblem(reply, 500, "INTERNAL");
  });
  return { app, isClosing: () => closing };
}

/** What is not HTTP gets an answer all the same, on the bare socket: there is no request to reply to. `late`: of what did not arrive in time. */
export function answerClientError(error: ConnectionError, socket: Socket, late: ErrorCode): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const status = error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
  const code: ErrorCode = status === 408 ? late : "HTTP_BAD_REQUEST";
  const body = JSON.stringify({ type: `urn:warren:error:${code}`, title: errorCatalogue[code].meaning, status, code });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nContent-Type: ${problemContentType}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  // a parser that failed reads no more; after a timeout it would go on, and keep a webhook that was told to be late
  if (status === 408) socket.destroySoon();
}
