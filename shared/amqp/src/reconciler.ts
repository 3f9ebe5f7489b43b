export interface ReconcilerHooks {
  /** Brings what is there one step nearer to what is wanted. */
  readonly step: () => Promise<void>;
  /** The step threw. Must not reject. */
  readonly failed: (error: unknown) => Promise<void>;
}

/** Runs one step at a time. A kick during a step makes another follow it, so a change is never missed and never meets a second. */
export class Reconciler {
  readonly #hooks: ReconcilerHooks;
  #work: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(hooks: ReconcilerHooks) {
    this.#hooks = hooks;
  }

  /** Something has changed. Resolves when no step is due; never rejects. Takes the place of a kick that was to come. */
  kick(): Promise<void> {
    clearTimeout(this.#timer);
    this.#again = true;
    this.#work ??= this.#run();
    return this.#work;
  }

  kickAfter(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.kick(), delayMs);
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      try {
        await this.#hooks.step();
      } catch (error) {
        await this.#hooks.failed(error);
      }
    }
    // In the turn of the last look at `#again`: a kick that comes next finds no work going on and starts anew.
    this.#work = undefined;
  }
}
