import { connect, type Socket } from "node:net";

/** A kept-alive connection that carries one request at a time. */
export class Connection {
  readonly #socket: Socket;
  #answered: ((status: number) => void) | undefined;
  #received = "";

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (text: string) => this.#take(text));
    const fail = (): void => this.#finish(0);
    this.#socket.on("error", fail).on("close", fail);
  }

  /** Resolves with the status; 0 when the connection broke. */
  ask(request: Buffer): Promise<number> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) {
        resolve(0);
        return;
      }
      this.#answered = resolve;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = this.#received.slice(0, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (this.#received.length < end + 4 + length) return;
    this.#received = "";
    this.#finish(Number(head.slice(9, 12)));
  }

  #finish(status: number): void {
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(status);
  }
}
