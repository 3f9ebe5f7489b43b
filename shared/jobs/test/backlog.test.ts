import { expect, test } from "vitest";
import { Backlog } from "../src/enqueue/backlog.ts";

const bundle = (...ids: string[]) => ({ queue: "default", ids });

test("bundles come out in the order in which they went in", () => {
  const backlog = new Backlog(100_000);
  for (let n = 0; n < 10_000; n++) backlog.put(bundle(String(n)));
  for (let n = 0; n < 10_000; n++) {
    expect(backlog.take()?.ids).toEqual([String(n)]);
    if (n % 2 === 0) backlog.put(bundle(`again ${n}`));
  }
  expect(backlog.jobs).toBe(5_000);
  expect(backlog.take()?.ids).toEqual(["again 0"]);
});

test("the bound is on jobs, and a refused bundle leaves nothing behind", () => {
  const backlog = new Backlog(3);
  expect(backlog.put(bundle("a", "b"))).toBe(true);
  expect(backlog.put(bundle("c", "d"))).toBe(false);
  expect(backlog.put(bundle("e"))).toBe(true);
  expect(backlog.jobs).toBe(3);
  expect(backlog.clear().map(({ ids }) => ids)).toEqual([["a", "b"], ["e"]]);
  expect(backlog.take()).toBeUndefined();
  expect(backlog.jobs).toBe(0);
});
