import { createHash } from "node:crypto";

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

interface Remembered {
  readonly fingerprint: string;
  readonly answer: Answer;
  readonly at: number;
}

const dayMs = 24 * 3600 * 1000;

/**
 * What was answered under an `Idempotence-Key`. Remembered for 24 hours: after that the same key makes a new payment, as at YooKassa.
 * Source: https://yookassa.ru/developers/using-api/interaction-format#idempotence
 */
export class IdempotenceMemory {
  readonly #answers = new Map<string, Remembered>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The earlier answer; `conflict` when the key was used for other data; undefined when it is new. */
  recall(key: string, request: string): Answer | "conflict" | undefined {
    const remembered = this.#answers.get(key);
    if (remembered === undefined || this.#now() - remembered.at >= dayMs) return undefined;
    return remembered.fingerprint === fingerprint(request) ? remembered.answer : "conflict";
  }

  remember(key: string, request: string, answer: Answer): void {
    this.#answers.delete(key);
    this.#answers.set(key, { fingerprint: fingerprint(request), answer, at: this.#now() });
    for (const [old, { at }] of this.#answers) {
      if (this.#now() - at < dayMs && this.#answers.size <= 100_000) break;
      this.#answers.delete(old);
    }
  }
}

function fingerprint(request: string): string {
  return createHash("sha256").update(request).digest("base64");
}
