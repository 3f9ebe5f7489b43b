import type { IncomingMessage } from "node:http";

/** What came of reading a request's body. */
export type Reading =
  | { readonly kind: "whole"; readonly body: Buffer }
  | { readonly kind: "too-large"; readonly receivedBytes: number }
  | { readonly kind: "incomplete"; readonly receivedBytes: number }
  /** This process holds as many unfinished bodies as it may. */
  | { readonly kind: "no-room" };

/** How many bytes of bodies this process holds at once, over all requests. */
export interface BufferBudget {
  readonly maxBytes: number;
  usedBytes: number;
}

const empty = Buffer.alloc(0);

/** Pieces smaller than this are copied together: a Buffer of its own costs hundreds of bytes, also for a chunk of one. */
const smallBytes = 2_048;
const gatheredBytes = 4_096;

/** The pieces of a body, in memory that is bounded by its bytes however finely it was chunked. */
class Pieces {
  readonly #whole: Buffer[] = [];
  #gathering: Buffer | undefined;
  #gathered = 0;

  add(piece: Buffer): void {
    // nearly every body is one piece, which is taken as it is
    if (piece.length >= smallBytes || (this.#whole.length === 0 && this.#gathering === undefined)) {
      this.#flush();
      this.#whole.push(piece);
      return;
    }
    if (this.#gathering === undefined || this.#gathering.length - this.#gathered < piece.length) {
      this.#flush();
      this.#gathering = Buffer.allocUnsafeSlow(gatheredBytes);
    }
    this.#gathered += piece.copy(this.#gathering, this.#gathered);
  }

  join(bytes: number): Buffer {
    this.#flush();
    const [only] = this.#whole;
    if (only === undefined) return empty;
    return this.#whole.length === 1 ? only : Buffer.concat(this.#whole, bytes);
  }

  #flush(): void {
    if (this.#gathering !== undefined) this.#whole.push(this.#gathering.subarray(0, this.#gathered));
    this.#gathering = undefined;
    this.#gathered = 0;
  }
}

/** The announced length of a body; 0 when it is chunked or not announced. Node's parser has checked the header's form. */
export function announcedBytes(request: IncomingMessage): number {
  const header = request.headers["content-length"];
  return header === undefined ? 0 : Number(header);
}

/**
 * Reads a body exactly as it came, up to `maxBytes` received bytes. The caller gives the bytes of a whole body back to the budget
 * when it is done with them; every other outcome has given its bytes back already.
 */
export function readBody(request: IncomingMessage, maxBytes: number, budget: BufferBudget): Promise<Reading> {
  const announced = announcedBytes(request);
  if (announced > maxBytes) return Promise.resolve({ kind: "too-large", receivedBytes: announced });
  if (budget.usedBytes + announced > budget.maxBytes) return Promise.resolve({ kind: "no-room" });

  return new Promise((resolve) => {
    const pieces = new Pieces();
    let received = 0;

    const finish = (reading: Reading) => {
      request.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onClose);
      if (reading.kind !== "whole") budget.usedBytes -= received;
      resolve(reading);
    };
    const onData = (chunk: Buffer) => {
      received += chunk.length;
      budget.usedBytes += chunk.length;
      if (received > maxBytes) finish({ kind: "too-large", receivedBytes: received });
      else if (budget.usedBytes > budget.maxBytes) finish({ kind: "no-room" });
      else pieces.add(chunk);
    };
    const onEnd = () => finish({ kind: "whole", body: pieces.join(received) });
    const onClose = () => finish({ kind: "incomplete", receivedBytes: received });
    request.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onClose);
  });
}

/** How much of a refused body is taken off the wire, so that its sender gets to read the answer. */
const maxDiscardedBytes = 16 * 1_048_576;

/**
 * Lets the rest of a refused body run off. Closing at once would reset the connection under a sender that still sends, who would
 * then never see the answer; reading on without end would let it keep us busy. The server's request timeout bounds the time.
 */
export function discardBody(request: IncomingMessage): void {
  if (request.readableEnded || request.destroyed) return;
  let discarded = 0;
  request.on("error", () => undefined);
  request.on("data", (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded > maxDiscardedBytes) request.destroy();
  });
}
