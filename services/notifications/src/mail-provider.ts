import type { Operation, Provider } from "@warren/resilience";
import { classifySmtpFailure, type Handover, type MailOutcome } from "./smtp-outcome.ts";
import { isNodemailerError, type Mail, type SmtpPool } from "./smtp-pool.ts";

export interface MailProviderOptions {
  readonly pool: SmtpPool;
  readonly provider: Provider;
  /** Mails on their way at once; more of them wait. */
  readonly concurrent: number;
  /** For one mail, from the free connection to the server's answer. */
  readonly timeoutMs: number;
  readonly breaker: {
    readonly failures: number;
    readonly halfOpenAfterMs: number;
    readonly maxHalfOpenAfterMs: number;
  };
}

/** Mail through one SMTP server, behind the breaker `smtp:send`. */
export interface MailProvider {
  readonly operation: Operation;
  /**
   * Sends one mail. An answer about this mail is a value; trouble with the server is thrown and counts for the breaker.
   * `handover.complete` afterwards tells whether a thrown trouble may have left the mail accepted.
   * @throws ProviderError
   */
  send(mail: Mail, handover: Handover, signal: AbortSignal): Promise<MailOutcome>;
}

export function createMailProvider(options: MailProviderOptions): MailProvider {
  const { pool, provider } = options;
  const operation = provider.operation({
    name: "send",
    timeoutMs: options.timeoutMs,
    bulkhead: { concurrent: options.concurrent, queued: 10_000 },
    breaker: {
      threshold: { kind: "consecutive", failures: options.breaker.failures },
      halfOpenAfterMs: options.breaker.halfOpenAfterMs,
      maxHalfOpenAfterMs: options.breaker.maxHalfOpenAfterMs,
    },
    // a mail cannot be made idempotent: trying again is the job's business, which knows the deliveries ledger
    retry: { attempts: 1, baseDelayMs: 0, maxDelayMs: 0, safe: false },
  });
  const facts = { provider: provider.name, operation: operation.name };

  async function sendOnce(mail: Mail, handover: Handover, signal: AbortSignal): Promise<MailOutcome> {
    try {
      const { response, providerId } = await pool.send(mail, handover, signal);
      return { kind: "accepted", response, providerId };
    } catch (error) {
      if (!isNodemailerError(error)) throw error;
      const failure = classifySmtpFailure(error, handover, facts);
      if (failure.kind === "trouble") throw failure.error;
      return failure;
    }
  }

  return {
    operation,
    send: (mail, handover, signal) =>
      operation.call((attempt) => sendOnce(mail, handover, attempt.signal), { signal, idempotencyKey: mail.messageId }),
  };
}
