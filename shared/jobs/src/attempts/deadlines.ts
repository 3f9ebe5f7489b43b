/** A registered deadline; `cancel` is idempotent. */
interface Deadline {
  cancel(): void;
}

/** One timer for all deadlines of a worker: a timer each would cost more than a short job. */
export interface Deadlines {
  /** Calls `expired` once, `delayMs` from now, up to one tick (20 ms) late and never early. */
  add(delayMs: number, expired: () => void): Deadline;
  dispose(): void;
}

const tickMs = 20;

interface Entry {
  readonly tick: number;
  readonly expired: () => void;
}

/** `now` in milliseconds, monotonic. The timer runs only while there are deadlines, and keeps no process alive. */
export function createDeadlines(now: () => number = () => performance.now()): Deadlines {
  const slots = new Map<number, Set<Entry>>();
  let timer: NodeJS.Timeout | undefined;
  let passed = 0;

  function tick(): void {
    timer = undefined;
    const current = Math.floor(now() / tickMs);
    // after a suspension a jump over millions of ticks must not be walked one by one
    const due =
      current - passed > slots.size
        ? [...slots.keys()].filter((slot) => slot <= current).sort((left, right) => left - right)
        : Array.from({ length: Math.max(0, current - passed) }, (_, index) => passed + 1 + index);
    passed = current;
    for (const slot of due) {
      const entries = slots.get(slot);
      slots.delete(slot);
      for (const entry of entries ?? []) entry.expired();
    }
    arm();
  }

  function arm(): void {
    if (timer !== undefined || slots.size === 0) return;
    timer = setTimeout(tick, tickMs);
    timer.unref();
  }

  return {
    add(delayMs, expired) {
      if (slots.size === 0) passed = Math.floor(now() / tickMs);
      const entry: Entry = { tick: Math.max(passed + 1, Math.ceil((now() + delayMs) / tickMs)), expired };
      const slot = slots.get(entry.tick);
      if (slot === undefined) slots.set(entry.tick, new Set([entry]));
      else slot.add(entry);
      arm();
      return {
        cancel() {
          const own = slots.get(entry.tick);
          own?.delete(entry);
          if (own?.size === 0) slots.delete(entry.tick);
        },
      };
    },
    dispose() {
      clearTimeout(timer);
      timer = undefined;
      slots.clear();
    },
  };
}
