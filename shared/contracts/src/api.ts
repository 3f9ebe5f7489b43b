import { z } from "zod";

/** The query of every list of the management API. Strict: extend it with `.extend({ … })`. */
export const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50).describe("how many items at most"),
  cursor: z.string().min(1).max(500).optional().describe("`nextCursor` of the page before"),
});

/** A page of a list; `nextCursor` is null on the last one. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}

/** A moment on the wire, in UTC. */
export const moment = z.iso.datetime();
