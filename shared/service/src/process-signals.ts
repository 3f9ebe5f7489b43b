import type { Logger } from "@warren/observability";

const numbers = { SIGTERM: 15, SIGINT: 2 } as const;

export interface ProcessSignals extends Disposable {
  /** Fires at the first SIGTERM or SIGINT; its reason is the signal's name. */
  readonly stop: AbortSignal;
}

/**
 * Takes over the process's ends. First SIGTERM or SIGINT: `stop` fires. Second: the process exits at once, as if the signal had killed it
 * (128 + its number). An exception that nobody caught or a rejection that nobody handled: logged as fatal, exit 1 at once, since the state
 * is unknown; what was running is taken back by the dispatcher like that of any dead process.
 */
export function takeSignals(log: () => Logger): ProcessSignals {
  const controller = new AbortController();
  const onSignal = (name: "SIGTERM" | "SIGINT") => {
    if (controller.signal.aborted) {
      log().warn({ signal: name }, "second signal, exiting at once");
      process.exit(128 + numbers[name]);
    }
    log().info({ signal: name }, "signal received, stopping");
    controller.abort(name);
  };
  let dying = false;
  const onFatal = (kind: string) => (error: unknown) => {
    if (!dying) {
      dying = true;
      log().fatal(
        { err: error instanceof Error ? error : new Error(String(error)), kind },
        "unexpected failure, exiting",
      );
    }
    process.exit(1);
  };
  const onException = onFatal("uncaughtException");
  const onRejection = onFatal("unhandledRejection");
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  process.on("uncaughtException", onException);
  process.on("unhandledRejection", onRejection);
  return {
    stop: controller.signal,
    [Symbol.dispose]() {
      process.off("SIGTERM", onSignal);
      process.off("SIGINT", onSignal);
      process.off("uncaughtException", onException);
      process.off("unhandledRejection", onRejection);
    },
  };
}
