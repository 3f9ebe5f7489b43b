import { createBatcher } from "@warren/ledger";
import { expect, test } from "vitest";

/** A run function whose batches finish when the test says so. */
function heldRun() {
  const batches: { readonly items: readonly number[]; finish(): void; fail(error: unknown): void }[] = [];
  const run = (items: readonly number[]): Promise<readonly string[]> =>
    new Promise((resolve, reject) => {
      batches.push({ items, finish: () => resolve(items.map((item) => `done ${item}`)), fail: reject });
    });
  return { batches, run };
}

/** A whole turn of the event loop, and what its end sets off. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(() => resolve())));

class BadItem extends Error {}

test("a lone call starts at the end of its turn, without a timer", async () => {
  const { batches, run } = heldRun();
  const batcher = createBatcher({ name: "test", run });
  const result = batcher.add(1);
  await turn();
  expect(batches.map(({ items }) => items)).toEqual([[1]]);
  batches[0]!.finish();
  await expect(result).resolves.toBe("done 1");
});

test("calls of one turn share a batch, and each gets its own result", async () => {
  const batcher = createBatcher({
    name: "test",
    run: async (items: readonly number[]) => items.map((item) => item * 2),
  });
  await expect(Promise.all([1, 2, 3].map((item) => batcher.add(item)))).resolves.toEqual([2, 4, 6]);
});

test("at most two batches are in flight, and what arrives meanwhile forms the next one", async () => {
  const { batches, run } = heldRun();
  const batcher = createBatcher({ name: "test", run });
  const results: Promise<string>[] = [];
  for (const item of [1, 2, 3, 4, 5]) {
    results.push(batcher.add(item));
    await turn();
  }
  expect(batches.map(({ items }) => items)).toEqual([[1], [2]]);
  expect(batcher.waiting).toBe(3);
  batches[1]!.finish();
  await turn();
  expect(batches.map(({ items }) => items)).toEqual([[1], [2], [3, 4, 5]]);
  batches[0]!.finish();
  batches[2]!.finish();
  await expect(Promise.all(results)).resolves.toEqual([1, 2, 3, 4, 5].map((item) => `done ${item}`));
});

test("not even many full batches that arrive in one turn fly more than two at a time", async () => {
  const { batches, run } = heldRun();
  const batcher = createBatcher({ name: "test", maxItems: 2, run });
  const results = Promise.all(Array.from({ length: 9 }, (_, item) => batcher.add(item)));
  for (let done = 0; done < 5; done += 1) {
    await turn();
    expect(batches.length).toBe(Math.min(done + 2, 5));
    batches[done]!.finish();
  }
  expect((await results).length).toBe(9);
});

test("a crowd that finds both places free is shared among them, so that they take turns", async () => {
  const { batches, run } = heldRun();
  const batcher = createBatcher({ name: "test", run });
  const results = Promise.all(Array.from({ length: 64 }, (_, item) => batcher.add(item)));
  await turn();
  expect(batches.map(({ items }) => items.length)).toEqual([32, 32]);
  for (const batch of batches) batch.finish();
  expect((await results).length).toBe(64);
});

test("what is not worth a second batch waits for the first one, and what is worth it starts beside it", async () => {
  const { batches, run } = heldRun();
  const batcher = createBatcher({ name: "test", worthOverlapping: 40, run });
  const first = Array.from({ length: 64 }, (_, item) => batcher.add(item));
  await turn();
  const few = Array.from({ length: 39 }, (_, item) => batcher.add(item));
  await turn();
  expect(batches.map(({ items }) => items.length)).toEqual([64]);
  const enough = batcher.add(40);
  await turn();
  expect(batches.map(({ items }) => items.length)).toEqual([64, 40]);
  const last = batcher.add(41);
  batches[0]!.finish();
  batches[1]!.finish();
  await Promise.all([...first, ...few, enough]);
  await turn();
  batches[2]!.finish();
  expect(await last).toBe("done 41");
});

test("a few heavy items are worth a second batch as many light ones are", async () => {
  const { batches, run } = heldRun();
  const batcher = createBatcher({ name: "test", maxItems: 20, worthOverlapping: 20, weigh: () => 10, run });
  const results = Promise.all([1, 2, 3, 4].map((item) => batcher.add(item)));
  await turn();
  expect(batches.map(({ items }) => items.length)).toEqual([2, 2]);
  for (const batch of batches) batch.finish();
  await results;
});

test("a batch never outweighs its limit, and an item heavier than the limit travels alone", async () => {
  const seen: number[][] = [];
  const batcher = createBatcher({
    name: "test",
    maxItems: 5,
    maxInFlight: 1,
    weigh: (item: number) => item,
    run: async (items) => {
      seen.push([...items]);
      return items;
    },
  });
  await Promise.all([2, 2, 2, 9, 1].map((item) => batcher.add(item)));
  expect(seen).toEqual([[2, 2], [2], [9], [1]]);
});

test("a poison item fails alone: the batch is halved until it is found", async () => {
  const statements: number[] = [];
  const batcher = createBatcher({
    name: "test",
    splitOn: (error) => error instanceof BadItem,
    run: async (items: readonly number[]) => {
      statements.push(items.length);
      if (items.includes(7)) throw new BadItem();
      return items;
    },
  });
  const items = Array.from({ length: 64 }, (_, index) => index);
  const settled = await Promise.allSettled(items.map((item) => batcher.add(item)));
  expect(settled.flatMap(({ status }, index) => (status === "rejected" ? [index] : []))).toEqual([7]);
  expect(statements.length).toBeLessThanOrEqual(13);
});

test("an error that no item is to blame for fails the whole batch, once", async () => {
  let statements = 0;
  const batcher = createBatcher({
    name: "test",
    splitOn: (error) => error instanceof BadItem,
    run: (): Promise<readonly number[]> => {
      statements += 1;
      return Promise.reject(new Error("database gone"));
    },
  });
  const settled = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));
  expect(settled.every(({ status }) => status === "rejected")).toBe(true);
  expect(statements).toBe(1);
});

test("after a failed batch the next one runs", async () => {
  let fails = true;
  const batcher = createBatcher({
    name: "test",
    run: async (items: readonly number[]) => {
      if (fails) throw new Error("once");
      return items;
    },
  });
  await expect(batcher.add(1)).rejects.toThrow("once");
  fails = false;
  await expect(batcher.add(2)).resolves.toBe(2);
});

test("a run that answers the wrong number of results fails its batch instead of leaving calls open", async () => {
  const batcher = createBatcher<number, number>({ name: "short", run: async () => [] });
  await expect(batcher.add(1)).rejects.toThrow('batch "short" of 1 items answered 0 results');
});

test("a run that throws before its first await fails its batch too", async () => {
  const batcher = createBatcher<number, number>({
    name: "throws",
    run: () => {
      throw new Error("at once");
    },
  });
  await expect(batcher.add(1)).rejects.toThrow("at once");
});

test("each statement is reported with its weight", async () => {
  const reports: { name: string; size: number }[] = [];
  const batcher = createBatcher({
    name: "reported",
    weigh: (item: readonly number[]) => item.length,
    run: async (items) => items,
    onBatch: ({ name, size }) => reports.push({ name, size }),
  });
  await Promise.all([batcher.add([1, 2]), batcher.add([3])]);
  expect(reports).toEqual([{ name: "reported", size: 3 }]);
});
