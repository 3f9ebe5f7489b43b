import { WarrenError } from "@warren/contracts";
import type { z } from "zod";

/** The place after the last item of a page, opaque to callers. */
export function writeCursor(place: unknown): string {
  return Buffer.from(JSON.stringify(place), "utf8").toString("base64url");
}

/** A page out of up to one row more than fits: that one only tells that there are more. `place` is where the next page goes on. */
export function pageFrom<Row>(
  rows: readonly Row[],
  limit: number,
  place: (last: Row) => unknown,
): { readonly items: Row[]; readonly nextCursor: string | null } {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: last === undefined || rows.length <= limit ? null : writeCursor(place(last)) };
}

/** @throws WarrenError `API_CURSOR_INVALID`: declare it with status 400 in the route's `errors`. */
export function readCursor<Place>(schema: z.ZodType<Place>, cursor: string | undefined): Place | undefined {
  if (cursor === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")));
  } catch (cause) {
    throw new WarrenError("API_CURSOR_INVALID", "this cursor was not given by this list", { cause });
  }
}
