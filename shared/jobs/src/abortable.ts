import type { JobAbortedError } from "./errors.ts";

/** An `AbortSignal` and why it aborted: the first reason stays. The signal is made when somebody asks for it, which few handlers do. */
export class Abortable {
  #controller: AbortController | undefined;
  #reason: JobAbortedError | undefined;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get reason(): JobAbortedError | undefined {
    return this.#reason;
  }

  abort(reason: JobAbortedError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
