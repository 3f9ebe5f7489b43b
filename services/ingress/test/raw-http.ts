import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** What came back on a connection, and how it ended. */
export interface Conversation {
  /** The statuses of the answers, in their order. */
  readonly statuses: readonly number[];
  readonly text: string;
  readonly closed: boolean;
}

export interface RawOptions {
  /** Resolves as soon as so many final answers are there. Default 1. */
  readonly answers?: number;
  /** Closes our half after the bytes. */
  readonly halfClose?: boolean;
  /** Most that is waited. Default 30 s. */
  readonly timeoutMs?: number;
}

/** Says exactly these bytes on a connection of its own. Waits for the answers and, when the last says so, for the end. */
export async function say(port: number, bytes: string | Buffer, options: RawOptions = {}): Promise<Conversation> {
  const { answers = 1, halfClose = false, timeoutMs = 30_000 } = options;
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  let text = "";
  let closed = false;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (statusesOf(text).length >= answers && !/\r\nconnection: close\r\n/i.test(text)) resolve();
  });
  const end = (): void => {
    closed = true;
    resolve();
  };
  socket.on("end", end).on("close", end).on("error", end);
  await once(socket, "connect");
  socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  if (halfClose) socket.end();
  await done;
  clearTimeout(timer);
  socket.destroy();
  return { statuses: statusesOf(text), text, closed };
}

function statusesOf(text: string): readonly number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)]
    .map(([, status]) => Number(status))
    .filter((status) => status >= 200);
}

/** More at once than the server listens for are put off by the kernel, by seconds. */
const wave = 100;

/** Opens connections and says the same on each; they stay open. */
export async function openMany(port: number, count: number, bytes: string): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(wave, count - sockets.length) }, () => connect(port, "127.0.0.1"));
    // a paused socket does not see its end
    for (const socket of some) socket.on("error", () => undefined).resume();
    await Promise.all(some.map((socket) => once(socket, "connect")));
    if (bytes !== "") for (const socket of some) socket.write(bytes);
    sockets.push(...some);
  }
  return sockets;
}
