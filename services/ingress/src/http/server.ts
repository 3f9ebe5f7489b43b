import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type ErrorCode, errorCatalogue, problemContentType } from "@warren/contracts";
import type { Logger } from "@warren/observability";
import Fastify, { type ConnectionError, type FastifyError, type FastifyInstance } from "fastify";
import { sendProblem } from "./problem.ts";

/** How long a request may take to arrive as a whole, headers and body: bounds senders that trickle. */
const requestTimeoutMs = 30_000;
/** Longer than load balancers keep theirs (60 s), so that they never send into a connection that we are closing. */
const keepAliveTimeoutMs = 72_000;

export interface Server {
  readonly app: FastifyInstance;
  readonly isClosing: () => boolean;
}

/** A server that leaves bodies alone, logs no request, and answers every error with a problem document. */
export function createServer(log: Logger): Server {
  let closing = false;
  const app = Fastify({
    logger: false,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    // while we close, what comes on open connections is still served, and its connection closed with the answer
    return503OnClosing: false,
    forceCloseConnections: "idle",
    requestIdHeader: false,
    exposeHeadRoutes: false,
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, _request, reply) => {
      void sendProblem(reply, error.statusCode ?? 400, "HTTP_BAD_REQUEST", { detail: error.message });
    },
  });
  const connections = new Set<Socket>();
  app.server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  app.addHook("preClose", (done) => {
    closing = true;
    // Node closes connections that are idle after a request, and would wait for those that never sent one
    for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
    done();
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

/** What is not HTTP gets an answer all the same, on the bare socket: there is no request to reply to. */
function answerClientError(error: ConnectionError, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const status = error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
  const code: ErrorCode = status === 408 ? "WEBHOOK_BODY_INCOMPLETE" : "HTTP_BAD_REQUEST";
  const body = JSON.stringify({ type: `urn:warren:error:${code}`, title: errorCatalogue[code].meaning, status, code });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nContent-Type: ${problemContentType}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
