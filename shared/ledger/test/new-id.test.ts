import { newId } from "@warren/ledger";
import { validate, version } from "uuid";
import { describe, expect, test } from "vitest";

describe("ids", () => {
  const ids = Array.from({ length: 50_000 }, () => newId());

  test("are UUIDs of version 7, none twice, in the order in which they were made", () => {
    expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted()).toEqual(ids);
  });

  test("carry the time at which they were made", () => {
    const before = Date.now();
    const id = newId();
    const madeAt = Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
    expect(madeAt).toBeGreaterThanOrEqual(before);
    expect(madeAt).toBeLessThanOrEqual(Date.now());
  });

  test("share no random end", () => {
    expect(new Set(ids.map((id) => id.slice(-10))).size).toBeGreaterThan(ids.length * 0.999);
  });
});
