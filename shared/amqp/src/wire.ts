import { Duplex } from "node:stream";
import type { ChannelModel } from "amqplib";

/**
 * The socket below an amqplib connection. amqplib writes each frame by itself, one system call a message; `corkWrites` makes it one
 * for all the frames of an event-loop turn. Both reach into fields that amqplib 2.3.1 does not declare (`connection.stream`,
 * `connection.muxer._readIncoming`): they are looked up with care, and a test fails when an upgrade moves them.
 */
export function socketOf(model: ChannelModel): Duplex | undefined {
  const stream = field(model.connection, "stream");
  return stream instanceof Duplex ? stream : undefined;
}

/** Corks the socket around each pass of amqplib's multiplexer. Answers whether it could. */
export function corkWrites(model: ChannelModel): boolean {
  const socket = socketOf(model);
  const muxer = field(model.connection, "muxer");
  const flush = field(muxer, "_readIncoming");
  if (socket === undefined || typeof muxer !== "object" || muxer === null || typeof flush !== "function") return false;
  return Reflect.set(muxer, "_readIncoming", () => {
    socket.cork();
    try {
      Reflect.apply(flush, muxer, []);
    } finally {
      socket.uncork();
    }
  });
}

function field(holder: unknown, name: string): unknown {
  return typeof holder === "object" && holder !== null ? Reflect.get(holder, name) : undefined;
}
