import { randomFillSync } from "node:crypto";
import { v7 } from "uuid";

/** Random bytes of one draw: asking the system for sixteen at a time is nine tenths of what an id costs (2.7 against 0.3 µs). */
const pool = new Uint8Array(4_096);
const bytesPerId = 16;
let used = pool.length;
let lastMs = 0;
let sequence = 0;

/**
 * A fresh UUIDv7 (RFC 9562): sorts by time, as partitions of history and webhooks need it, and those of one process in the order
 * in which they were made, even within a millisecond.
 */
export function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, used + bytesPerId);
  used += bytesPerId;
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    sequence = sequenceStart(random);
  } else {
    sequence = (sequence + 1) >>> 0;
    // the clock may stand or go back; ids may not
    if (sequence === 0) lastMs += 1;
  }
  return v7({ random, msecs: lastMs, seq: sequence });
}

/** 31 random bits: two processes do not meet, and there is as much room again to count up. The id's own random end is not among them. */
function sequenceStart(random: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = random;
  return ((a & 0x7f) << 24) | (b << 16) | (c << 8) | d;
}
