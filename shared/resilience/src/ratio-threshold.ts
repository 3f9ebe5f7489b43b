import { CircuitState, type IBreaker } from "cockatiel";

export interface RatioOptions {
  /** The share of failed calls above which the breaker opens, between 0 and 1. */
  readonly failed: number;
  readonly windowMs: number;
  /** Below this rate over the window it stays closed: one failure of two is no outage. */
  readonly minimumPerSecond: number;
}

interface Slice {
  readonly startedAtMs: number;
  failures: number;
  calls: number;
}

const slices = 10;

/**
 * Opens when more than a share of the calls in a sliding window failed. Stands in for cockatiel's SamplingBreaker, whose window
 * moves by one slice a call however much time passed, so that after a quiet night the failures of the evening still count.
 */
export class RatioThreshold implements IBreaker {
  private window: Slice[] = [];
  private readonly options: RatioOptions;

  constructor(options: RatioOptions) {
    if (!(options.failed > 0 && options.failed < 1))
      throw new RangeError("breaker threshold: failed must lie between 0 and 1");
    this.options = options;
  }

  /** cockatiel's hook for saving a breaker; ours lives as long as its process. */
  get state(): unknown {
    return undefined;
  }

  success(state: CircuitState): void {
    if (state === CircuitState.HalfOpen) this.window = [];
    this.current().calls += 1;
  }

  failure(state: CircuitState): boolean {
    const slice = this.current();
    slice.calls += 1;
    slice.failures += 1;
    if (state !== CircuitState.Closed) return true;
    let calls = 0;
    let failures = 0;
    for (const one of this.window) {
      calls += one.calls;
      failures += one.failures;
    }
    const enough = calls >= (this.options.minimumPerSecond * this.options.windowMs) / 1000;
    return enough && failures > this.options.failed * calls;
  }

  private current(): Slice {
    const nowMs = Date.now();
    this.window = this.window.filter((slice) => nowMs - slice.startedAtMs < this.options.windowMs);
    const last = this.window.at(-1);
    if (last !== undefined && nowMs - last.startedAtMs < this.options.windowMs / slices) return last;
    const slice = { startedAtMs: nowMs, failures: 0, calls: 0 };
    this.window.push(slice);
    return slice;
  }
}
