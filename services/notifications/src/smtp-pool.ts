import { createTransport, type NodemailerError } from "nodemailer";
import type { Handover } from "./smtp-outcome.ts";

export interface Mail {
  /** With angle brackets; the same in every try of one delivery. */
  readonly messageId: string;
  readonly to: { readonly name: string; readonly address: string };
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface SmtpPoolOptions {
  /** `smtp://user:password@host:port` or `smtps://…`. */
  readonly url: string;
  /** `required`: STARTTLS or nothing. `opportunistic`: if the server offers it. `off`: never. Without effect on `smtps:`. */
  readonly tls: "required" | "opportunistic" | "off";
  readonly from: { readonly name: string; readonly address: string };
  readonly maxConnections: number;
  /** Messages after which a connection is replaced; some servers limit it. */
  readonly maxMessagesPerConnection: number;
  /** For connecting, and for the greeting. */
  readonly connectTimeoutMs: number;
  /** Silence of the server after which a connection is given up. */
  readonly silenceTimeoutMs: number;
}

/** Kept-alive SMTP connections. Knows the protocol; nothing of jobs, deliveries or breakers. */
export interface SmtpPool extends AsyncDisposable {
  /**
   * Sends one mail. `handover` is kept up to date while it is under way, also for a caller whose `signal` has aborted it.
   * @throws NodemailerError
   */
  send(
    mail: Mail,
    handover: Handover,
    signal: AbortSignal,
  ): Promise<{ readonly response: string; readonly providerId?: string | undefined }>;
  /** Connects, greets and logs in once. Throws if that fails. */
  verify(): Promise<void>;
  /** Messages queued or being sent. */
  pending(): number;
}

export function openSmtpPool(options: SmtpPoolOptions): SmtpPool {
  const handovers = new Map<string, Handover>();
  const transport = createTransport(
    {
      pool: true,
      url: options.url,
      requireTLS: options.tls === "required",
      ignoreTLS: options.tls === "off",
      maxConnections: options.maxConnections,
      maxMessages: options.maxMessagesPerConnection,
      // our own retries know about doubles; nodemailer's begins anew only where not a byte of the message had gone out
      maxRequeues: 1,
      connectionTimeout: options.connectTimeoutMs,
      greetingTimeout: options.connectTimeoutMs,
      dnsTimeout: options.connectTimeoutMs,
      socketTimeout: options.silenceTimeoutMs,
      disableFileAccess: true,
      disableUrlAccess: true,
    },
    { from: { ...options.from } },
  );
  // Watches the message on its way into the connection: nodemailer's errors do not say whether its last byte had gone.
  transport.use("stream", (mail, done) => {
    const handover = handovers.get(String(mail.data.messageId));
    const message = mail.message;
    if (handover !== undefined && message !== undefined) {
      const createReadStream = message.createReadStream.bind(message);
      message.createReadStream = (streamOptions) => {
        const stream = createReadStream(streamOptions);
        handover.complete = false;
        stream.once("end", () => {
          handover.complete = true;
        });
        return stream;
      };
    }
    done();
  });

  return {
    async send(mail, handover, signal) {
      handovers.set(mail.messageId, handover);
      try {
        const info = await transport.sendMail({ ...mail, to: { ...mail.to }, headers: { ...mail.headers }, signal });
        return { response: info.response, providerId: info.serverMessageId ?? queueId(info.response) };
      } finally {
        handovers.delete(mail.messageId);
      }
    },
    async verify() {
      await transport.verify();
    },
    pending: () => handovers.size,
    async [Symbol.asyncDispose]() {
      transport.close();
      await Promise.resolve();
    },
  };
}

/** The id that common servers put into their reply: `250 2.0.0 Ok: queued as 4F2a…` (Postfix), `OK id=1tX…` (Exim). */
export function queueId(response: string): string | undefined {
  return /queued as ([\w.@<>-]{4,})/i.exec(response)?.[1] ?? /\bid=([\w.-]{4,})/i.exec(response)?.[1];
}

export function isNodemailerError(error: unknown): error is NodemailerError {
  return error instanceof Error && "code" in error && typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code);
}
