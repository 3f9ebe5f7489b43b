/** One line that is written over on a terminal, and now and then a new one elsewhere. */
export class Progress implements Disposable {
  readonly #out: NodeJS.WriteStream;
  readonly #everyMs: number;
  #lastAt = Number.NEGATIVE_INFINITY;
  #shown = false;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#everyMs = out.isTTY ? 100 : 2000;
  }

  show(text: string): void {
    if (performance.now() - this.#lastAt < this.#everyMs) return;
    this.#lastAt = performance.now();
    this.#shown = true;
    this.#out.write(this.#out.isTTY ? `\r\u001b[2K${text}` : `${text}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#shown && this.#out.isTTY) this.#out.write("\r\u001b[2K");
  }
}
