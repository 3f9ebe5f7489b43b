/** What asks this process to end. */
export interface StopSignals extends Disposable {
  /** Aborted by the first signal, or when the process that started this one is gone. */
  readonly stop: AbortSignal;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
/** A terminal signals the whole process group, and npm and the bootstrap pass the same Ctrl-C on: all that is one request. */
const oneRequestMs = 1000;

/** `onImpatience` is called for a second request: the user does not want to wait. */
export function takeStopSignals(onImpatience: () => void): StopSignals {
  const controller = new AbortController();
  let firstAt: number | undefined;
  const request = (): void => {
    if (firstAt === undefined) {
      firstAt = performance.now();
      controller.abort();
    } else if (performance.now() - firstAt > oneRequestMs) {
      onImpatience();
    }
  };
  for (const signal of signals) process.on(signal, request);
  const watch = watchParent(() => controller.abort());
  return {
    stop: controller.signal,
    [Symbol.dispose]: () => {
      clearInterval(watch);
      for (const signal of signals) process.off(signal, request);
    },
  };
}

/** The bootstrap may be killed in a way that it cannot pass on. Run without it, this process stands alone. */
function watchParent(onGone: () => void): NodeJS.Timeout | undefined {
  const parent = Number(process.env["WARREN_BOOTSTRAP_PID"]);
  if (!(parent > 0) || process.ppid !== parent) return undefined;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    onGone();
  }, 500);
  watch.unref();
  return watch;
}
