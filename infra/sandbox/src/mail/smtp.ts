import { type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from "smtp-server";
import type { FaultSwitch } from "./faults.ts";
import { readHeaders } from "./headers.ts";
import type { MailStore } from "./mail-store.ts";

export interface SmtpCounts {
  connections: number;
  /** Mails answered with 250. */
  accepted: number;
  /** Recipients or mails answered with an error, on request or because they were too large. */
  rejected: number;
  /** Connections cut after DATA, on request. */
  dropped: number;
}

export interface SmtpOptions {
  readonly host: string;
  readonly port: number;
  readonly maxMessageBytes: number;
  readonly store: MailStore;
  readonly faults: FaultSwitch;
}

/** An SMTP server that takes every mail, unless a fault says otherwise. Any user and password are welcome. */
export interface SmtpListener extends AsyncDisposable {
  readonly port: number;
  readonly counts: SmtpCounts;
  /** Follows the `down` fault: refuses connections, or listens again on the same port. */
  followFault(): Promise<void>;
}

export async function listenSmtp(options: SmtpOptions): Promise<SmtpListener> {
  const { store, faults } = options;
  const counts: SmtpCounts = { connections: 0, accepted: 0, rejected: 0, dropped: 0 };
  const sockets = new Set<Socket>();
  const stopping = new AbortController();

  const smtp = new SMTPServer({
    size: options.maxMessageBytes,
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ["STARTTLS"],
    disableReverseLookup: true,
    hidePIPELINING: false,
    closeTimeout: 1000,
    logger: false,
    onAuth: (auth, _session, done) => done(null, { user: auth.username ?? "anyone" }),
    onRcptTo: (_address, _session, done) => {
      const fault = faults.strike("rcpt");
      if (fault.kind !== "reject") return done();
      counts.rejected += 1;
      done(smtpError(fault.code, fault.message));
    },
    onData: (stream, session, done) => void answer(stream, session, done),
  });

  async function answer(stream: SMTPServerDataStream, session: SMTPServerSession, done: DataAnswer): Promise<void> {
    try {
      const id = await receive(stream, session);
      if (id !== undefined) done(null, `queued as ${id}`);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Answers the id of the stored mail, or undefined when the connection was cut instead of an answer. */
  async function receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<number | undefined> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    if (stream.sizeExceeded) {
      counts.rejected += 1;
      throw smtpError(552, `the message is larger than ${options.maxMessageBytes} bytes`);
    }
    const fault = faults.strike("data");
    if (fault.kind === "slow") await sleep(fault.delayMs, undefined, { signal: stopping.signal });
    if (fault.kind === "reject") {
      counts.rejected += 1;
      throw smtpError(fault.code, fault.message);
    }
    if (fault.kind === "drop" && fault.keep === false) return cut(session);
    const raw = Buffer.concat(chunks);
    const { mailFrom, rcptTo } = session.envelope;
    const { id } = await store.add({
      receivedAt: new Date().toISOString(),
      from: mailFrom === false ? "" : mailFrom.address,
      to: rcptTo.map(({ address }) => address),
      ...(await readHeaders(raw)),
      raw,
    });
    if (fault.kind === "drop") return cut(session);
    counts.accepted += 1;
    return id;
  }

  function cut(session: SMTPServerSession): undefined {
    counts.dropped += 1;
    for (const socket of sockets) if (socket.remotePort === session.remotePort) socket.destroy();
  }

  smtp.on("error", () => undefined); // a client that vanished; the listener's own errors are awaited below
  smtp.server.on("connection", (socket: Socket) => {
    counts.connections += 1;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await listen(smtp.server, options.port, options.host);
  const { port } = smtp.server.address() as AddressInfo;

  const refuse = async (): Promise<void> => {
    const closed = new Promise((resolve) => smtp.server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    port,
    counts,
    followFault: async () => {
      const wanted = faults.current.kind !== "down";
      if (wanted && !smtp.server.listening) await listen(smtp.server, port, options.host);
      if (!wanted && smtp.server.listening) await refuse();
    },
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      if (smtp.server.listening) await refuse();
    },
  };
}

type DataAnswer = (error: Error | null, message?: string) => void;

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function smtpError(responseCode: number, message = "the mail sink was told to reject this"): Error {
  return Object.assign(new Error(message), { responseCode });
}
