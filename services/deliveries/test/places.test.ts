import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createPlaces } from "../src/places.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Places, and tries that end when they are told. */
function setUp(options: { readonly base: number; readonly mostSlow: number }) {
  const sizes: number[] = [];
  const places = createPlaces({ ...options, slowAfterMs: 1_000, resize: (size) => sizes.push(size) });
  const begin = () => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const result = places.during(() => promise);
    return { result, resolve, reject };
  };
  return { sizes, begin };
}

test("a try that waits for its endpoint gives its place to another, and takes it back with its end, whatever that is", async () => {
  const { sizes, begin } = setUp({ base: 8, mostSlow: 100 });
  const [first, second, quick] = [begin(), begin(), begin()];
  await vi.advanceTimersByTimeAsync(999);
  quick.resolve("quick");
  expect(await quick.result).toBe("quick");
  expect(sizes).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(sizes).toEqual([9, 10]);
  first.resolve("late");
  second.reject(new Error("timeout"));
  expect(await first.result).toBe("late");
  await expect(second.result).rejects.toThrow("timeout");
  expect(sizes).toEqual([9, 10, 9, 8]);
});

test("of slow tries no more than the most get places, and places change in steps", async () => {
  const { sizes, begin } = setUp({ base: 80, mostSlow: 25 });
  const tries = Array.from({ length: 60 }, begin);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sizes).toEqual([90, 100, 105]);
  for (const one of tries) one.resolve("");
  await Promise.all(tries.map(({ result }) => result));
  expect(sizes.at(-1)).toBe(80);
});

test("work that throws at once leaves nothing behind", async () => {
  const places = createPlaces({ base: 8, slowAfterMs: 1_000, mostSlow: 8, resize: () => expect.unreachable() });
  await expect(
    places.during(async () => {
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  await vi.advanceTimersByTimeAsync(2_000);
  expect(vi.getTimerCount()).toBe(0);
});
