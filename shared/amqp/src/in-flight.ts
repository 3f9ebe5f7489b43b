import type { Message } from "amqplib";
import type { Outgoing, OutgoingMessage } from "./outgoing.ts";

/**
 * What was written to one channel and not confirmed yet, by delivery tag. Tags begin at 1 and follow the order of writing, so the map's
 * order is theirs.
 */
export class InFlight {
  readonly #byTag = new Map<number, Outgoing>();
  readonly #returned: Message[] = [];
  #lastTag = 0;
  #bytes = 0;

  get size(): number {
    return this.#byTag.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  all(): IterableIterator<Outgoing> {
    return this.#byTag.values();
  }

  written(outgoing: Outgoing): void {
    this.#byTag.set(++this.#lastTag, outgoing);
    this.#bytes += outgoing.message.body.length;
  }

  /** The broker could not route a message. It says so before it confirms the same message, on the same channel. */
  returned(message: Message): void {
    this.#returned.push(message);
  }

  /** Takes out what a confirm covers, and tells of each whether it had been returned. Answers how many those were. */
  confirm(deliveryTag: number, multiple: boolean, conclude: (outgoing: Outgoing, returned: boolean) => void): number {
    if (!multiple) {
      const outgoing = this.#byTag.get(deliveryTag);
      if (outgoing === undefined) return 0;
      this.#take(deliveryTag, outgoing, conclude);
      return 1;
    }
    let count = 0;
    for (const [tag, outgoing] of this.#byTag) {
      if (tag > deliveryTag) break;
      this.#take(tag, outgoing, conclude);
      count++;
    }
    return count;
  }

  /** The channel is gone: takes out everything, in order of writing, and begins anew. */
  clear(): readonly Outgoing[] {
    const taken = [...this.#byTag.values()];
    this.#byTag.clear();
    this.#returned.length = 0;
    this.#lastTag = 0;
    this.#bytes = 0;
    return taken;
  }

  #take(tag: number, outgoing: Outgoing, conclude: (outgoing: Outgoing, returned: boolean) => void): void {
    this.#byTag.delete(tag);
    this.#bytes -= outgoing.message.body.length;
    conclude(outgoing, this.#returned.length > 0 && this.#takeReturn(outgoing.message));
  }

  #takeReturn({ messageId, exchange, routingKey }: OutgoingMessage): boolean {
    const index = this.#returned.findIndex(
      ({ properties, fields }) =>
        properties.messageId === messageId && fields.exchange === exchange && fields.routingKey === routingKey,
    );
    if (index < 0) return false;
    this.#returned.splice(index, 1);
    return true;
  }
}
