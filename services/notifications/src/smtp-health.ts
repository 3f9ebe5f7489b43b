import type { HealthCheck, HealthResult } from "@warren/observability";
import type { SmtpPool } from "./smtp-pool.ts";

export interface SmtpHealthOptions {
  /** The server is asked at most this often, however many probes come. */
  readonly everyMs: number;
  readonly now: () => number;
}

/** Asks the mail server. One that is away makes the service degraded, never failing: mails wait, and come out by themselves. */
export function smtpHealth(pool: Pick<SmtpPool, "verify">, options: SmtpHealthOptions): HealthCheck {
  let known: { readonly at: number; readonly result: Promise<HealthResult> } | undefined;
  return (signal) => {
    if (known === undefined || options.now() - known.at >= options.everyMs) {
      known = { at: options.now(), result: ask(pool) };
    }
    return Promise.race([known.result, tooLate(signal)]);
  };
}

async function ask(pool: Pick<SmtpPool, "verify">): Promise<HealthResult> {
  try {
    await pool.verify();
    return { status: "ok", detail: "the mail server answers" };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { status: "degraded", detail: `mails wait: ${reason}` };
  }
}

function tooLate(signal: AbortSignal): Promise<HealthResult> {
  return new Promise((resolve) => {
    signal.addEventListener(
      "abort",
      () => resolve({ status: "degraded", detail: "the mail server is slow to answer" }),
      {
        once: true,
      },
    );
  });
}
