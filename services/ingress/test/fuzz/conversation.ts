import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Input } from "./inputs.ts";

export interface Answer {
  readonly status: number;
  readonly correlationId: string | undefined;
  /** The code of a problem document. */
  readonly code: string | undefined;
  /** What a receipt says. */
  readonly receipt: "accepted" | "duplicate" | undefined;
}

export interface Conversation {
  readonly input: Input;
  readonly answers: readonly Answer[];
  readonly lastedMs: number;
  /** The server ended it, not we. */
  readonly closed: boolean;
  /** The connection could not be made: there is no server. */
  readonly refused: boolean;
}

/** How long a connection may be silent before we go: what is not answered by then waits for more of its request. */
const silenceMs = 300;
const patienceMs = 20_000;
const longestTurnMs = 20;
/** Nobody answers one connection for ever. */
const mostTurns = 20_000;

/** Says an input on a connection of its own, and takes down what comes back. */
export async function converse(port: number, input: Input): Promise<Conversation> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const chunks: Buffer[] = [];
  const beganAt = performance.now();
  const lastedMs = (): number => performance.now() - beganAt;
  const state = { closed: false, pieces: 0 };
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    state.pieces += 1;
  });
  const close = (): void => {
    state.closed = true;
  };
  socket.on("end", close).on("close", close).on("error", close);
  try {
    await once(socket, "connect");
  } catch {
    return { input, answers: [], lastedMs: lastedMs(), closed: true, refused: true };
  }
  for (const { delayMs, bytes } of input.pieces) {
    if (delayMs > 0) await sleep(delayMs);
    if (state.closed) break;
    await written(socket, bytes);
  }
  const text = (): string => Buffer.concat(chunks).toString("latin1");
  if (input.ending === "reset") socket.resetAndDestroy();
  else {
    if (input.ending === "half-close") socket.end();
    // an authentic webhook is always answered, so it is waited for
    const enough = (): boolean => input.mustBeTaken && answersOf(text()).length > 0;
    const patience = input.mustBeTaken ? patienceMs : silenceMs;
    let seen = state.pieces;
    let waitedMs = 0;
    for (let turns = 0; !state.closed && !enough() && waitedMs < patience && turns < mostTurns; turns += 1) {
      const at = performance.now();
      await sleep(2);
      // a turn that took long was the machine's: what came meanwhile is not read yet
      waitedMs = state.pieces === seen ? waitedMs + Math.min(performance.now() - at, longestTurnMs) : 0;
      seen = state.pieces;
    }
  }
  const { closed } = state;
  socket.destroy();
  return { input, answers: answersOf(text()), lastedMs: lastedMs(), closed, refused: false };
}

async function written(socket: Socket, bytes: Buffer): Promise<void> {
  if (socket.write(bytes) || socket.destroyed) return;
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), patienceMs);
  await Promise.race([
    once(socket, "drain", { signal: gone.signal }),
    once(socket, "close", { signal: gone.signal }),
  ]).catch(() => undefined);
  clearTimeout(timer);
  gone.abort();
}

/** Our answers never hold the beginning of an answer in their body. */
function answersOf(text: string): readonly Answer[] {
  return text
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter((part) => part.startsWith("HTTP/1.1 "))
    .map((part) => ({
      status: Number(part.slice(9, 12)),
      correlationId: /\r\nx-correlation-id: ([^\r]*)\r\n/i.exec(part)?.[1],
      code: /"code":"([A-Z_]+)"/.exec(part)?.[1],
      receipt: /\{"status":"(accepted|duplicate)"/.exec(part)?.[1] as Answer["receipt"],
    }))
    .filter(({ status }) => status >= 200);
}
