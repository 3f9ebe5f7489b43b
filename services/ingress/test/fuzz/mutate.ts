import { tokens } from "./dictionary.ts";
import type { Random } from "./random.ts";

/** The bytes with one to six faults: bits flipped, bytes set, parts taken out, doubled, moved, cut off, or words put in. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  let mutated = Buffer.from(bytes);
  for (let count = random.whole(1, 6); count > 0; count -= 1) mutated = once(mutated, random);
  return mutated;
}

const interesting = [0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x3a, 0x3b, 0x5b, 0x7b, 0x7f, 0x80, 0xc0, 0xff];
const longestPart = 400;

function once(bytes: Buffer, random: Random): Buffer<ArrayBuffer> {
  const at = random.whole(0, Math.max(0, bytes.length - 1));
  const end = Math.min(bytes.length, at + random.whole(1, longestPart));
  const part = bytes.subarray(at, end);
  switch (random.whole(0, 6)) {
    case 0: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << random.whole(0, 7));
      return copy;
    }
    case 1: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[at] = random.pick(interesting);
      return copy;
    }
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, end), part, bytes.subarray(end)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(random.pick(tokens), "latin1"), bytes.subarray(at)]);
    case 5:
      return Buffer.from(bytes.subarray(0, at));
    default: {
      const to = random.whole(0, bytes.length);
      return Buffer.concat([bytes.subarray(0, to), part, bytes.subarray(to)]);
    }
  }
}
