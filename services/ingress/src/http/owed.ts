import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Of each connection the answer to the last request that came whole. Requests end, and are answered, in their order. */
const lastOwed = new WeakMap<Socket, ServerResponse>();

/** Notes that a request has come whole, and that its sender now waits for this answer. */
export function oweAnswer(socket: Socket, answer: ServerResponse): void {
  lastOwed.set(socket, answer);
}

const waiting = new WeakSet<Socket>();

/**
 * Calls `write`, once, when all answers that are owed on a connection are written. What is written before would be taken for the answer to an
 * earlier request: a webhook that was kept would seem refused, because of what its sender sent after it.
 */
export function afterOwedAnswer(socket: Socket, write: () => void): void {
  const owed = lastOwed.get(socket);
  if (owed === undefined || owed.writableFinished || owed.destroyed) {
    write();
    return;
  }
  if (waiting.has(socket)) return;
  waiting.add(socket);
  owed.once("close", write);
}
