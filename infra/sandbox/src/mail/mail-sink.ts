import type { AddressInfo } from "node:net";
import { FaultSwitch, type MailFault } from "./faults.ts";
import type { MailSummary } from "./mail-log.ts";
import { type MailFilter, MailStore } from "./mail-store.ts";
import { listenSmtp, type SmtpCounts } from "./smtp.ts";
import { buildMailWeb } from "./web.ts";

export interface MailSinkOptions {
  /** 0 takes a free port. */
  readonly smtpPort: number;
  /** 0 takes a free port. */
  readonly httpPort: number;
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Folder that keeps the mails over restarts; without it they go with the sink. */
  readonly dataDir?: string;
  /** Default 50,000; the oldest go first. */
  readonly maxMessages?: number;
  /** Default 256 MiB. */
  readonly maxBytes?: number;
  /** Default 10 MiB; larger ones get 552. */
  readonly maxMessageBytes?: number;
}

/** A mail server for development and tests: it delivers nothing, keeps everything, and fails on request. */
export interface MailSink extends AsyncDisposable {
  readonly smtpUrl: string;
  readonly httpUrl: string;
  readonly smtpPort: number;
  readonly httpPort: number;
  /** Oldest first. */
  messages(filter?: MailFilter): readonly MailSummary[];
  /** The raw message. */
  raw(id: number): Promise<Buffer | undefined>;
  counts(): Readonly<SmtpCounts> & { readonly messages: number; readonly uniqueMessageIds: number };
  /** Settles when the fault is in force (`down`: the port refuses) or over (`none`: it answers again). */
  setFault(fault: MailFault): Promise<void>;
  clear(): Promise<void>;
}

/** Starts a sink. Throws the operating system's error (`EADDRINUSE`, `EACCES`) when a port cannot be had. */
export async function startMailSink(options: MailSinkOptions): Promise<MailSink> {
  await using stack = new AsyncDisposableStack();
  const host = options.host ?? "127.0.0.1";
  const store = await MailStore.open({
    ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
    maxMessages: options.maxMessages ?? 50_000,
    maxBytes: options.maxBytes ?? 256 * 1024 * 1024,
  });
  stack.defer(() => store.close());
  const faults = new FaultSwitch();
  const maxMessageBytes = options.maxMessageBytes ?? 10 * 1024 * 1024;
  const smtp = stack.use(await listenSmtp({ host, port: options.smtpPort, maxMessageBytes, store, faults }));
  const web = buildMailWeb({ store, faults, smtp });
  stack.defer(() => web.close());
  await web.listen({ host, port: options.httpPort });
  const httpPort = (web.server.address() as AddressInfo).port;
  const owned = stack.move();
  return {
    smtpUrl: `smtp://127.0.0.1:${smtp.port}`,
    httpUrl: `http://127.0.0.1:${httpPort}`,
    smtpPort: smtp.port,
    httpPort,
    messages: (filter = {}) => store.find(filter),
    raw: (id) => store.raw(id),
    counts: () => ({
      ...smtp.counts,
      messages: store.size().messages,
      uniqueMessageIds: new Set(store.find({}).map(({ messageId }) => messageId)).size,
    }),
    setFault: async (fault) => {
      faults.set(fault);
      await smtp.followFault();
    },
    clear: async () => {
      await store.clear();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
