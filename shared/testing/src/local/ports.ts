import { randomInt } from "node:crypto";
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WarrenError } from "@warren/contracts";

/** A server on this machine could not be started; the message says why and what to do. */
export class LocalServerError extends WarrenError {}

/** Below the range from which the kernel takes the ports of outgoing connections, so that none of those can take it meanwhile. */
const range = { from: 20_000, to: 32_000 };

/** Has a file for each port that was handed out, to any process of this user. */
const handedOut = join(tmpdir(), `warren-ports-${process.getuid?.() ?? "all"}`);
/** Who got a port has so long to listen on it before somebody else may get it too. */
const reservedForMs = 300_000;

/** A TCP port of 127.0.0.1 that nothing listens on, and that nobody else gets for five minutes. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(range.from, range.to);
    if ((await isFree(port)) && (await reserve(port))) return port;
  }
  throw new LocalServerError("LOCAL_SERVER_FAILED", `found no free TCP port between ${range.from} and ${range.to}`);
}

async function reserve(port: number): Promise<boolean> {
  await mkdir(handedOut, { recursive: true });
  const file = join(handedOut, String(port));
  const since = await stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
  if (since !== undefined && Date.now() - since > reservedForMs) await rm(file, { force: true });
  try {
    await writeFile(file, "", { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** Throws LOCAL_PORT_TAKEN, naming the port and who wanted it, when something listens there. */
export async function requireFreePort(port: number, forWhat: string): Promise<void> {
  if (await isFree(port)) return;
  throw new LocalServerError("LOCAL_PORT_TAKEN", `port ${port} of 127.0.0.1 is taken, and ${forWhat} needs it`, {
    details: { port },
  });
}

/** Whether a TCP connection to the port of 127.0.0.1 is accepted. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const answer = (value: boolean): void => {
      socket.destroy();
      resolve(value);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
    socket.setTimeout(2000, () => answer(false));
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
