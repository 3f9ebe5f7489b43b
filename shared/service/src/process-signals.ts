import type { Logger } from "@warren/observability";

const numbers = { SIGTERM: 15, SIGINT: 2 } as const;

export interface ProcessSignals extends Disposable {
  /** Fires at the first SIGTERM or SIGINT; its reason is the signal's name. */
  readonly stop: AbortSignal;
  /** Fires at the second one: no more time to finish. */
  readonly hurry: AbortSignal;
  /** 128 + the second signal's number, once there was one. */
  readonly exitCode: number | undefined;
}

/**
 * Takes over the process's ends. First SIGTERM or SIGINT: `stop` fires, running work may finish. Second: `hurry` fires, what has not finished
 * is handed back in order. Third: the process exits at once, as if the signal had killed it (128 + its number); what was running is taken
 * back by the dispatcher like that of any dead process, and so it is after an exception that nobody caught or a rejection that nobody
 * handled: logged as fatal, exit 1 at once, since the state is unknown.
 */
export function takeSignals(log: () => Logger): ProcessSignals {
  const stopping = new AbortController();
  const hurrying = new AbortController();
  let exitCode: number | undefined;
  const onSignal = (name: "SIGTERM" | "SIGINT") => {
    if (!stopping.signal.aborted) {
      log().info({ signal: name }, "signal received, stopping");
      stopping.abort(name);
    } else if (exitCode === undefined) {
      log().warn({ signal: name }, "second signal, handing back what has not finished");
      exitCode = 128 + numbers[name];
      hurrying.abort(name);
    } else {
      log().warn({ signal: name }, "third signal, exiting at once");
      process.exit(128 + numbers[name]);
    }
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
    stop: stopping.signal,
    hurry: hurrying.signal,
    get exitCode() {
      return exitCode;
    },
    [Symbol.dispose]() {
      process.off("SIGTERM", onSignal);
      process.off("SIGINT", onSignal);
      process.off("uncaughtException", onException);
      process.off("unhandledRejection", onRejection);
    },
  };
}
