import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import type { JobHandler } from "../../src/index.ts";
import { type Bench, openBench } from "../fixture.ts";
import * as chain from "./chain.ts";
import * as children from "./children.ts";
import * as chord from "./chord.ts";
import * as saga from "./saga.ts";

async function openWith(handlers: readonly JobHandler[]): Promise<Bench> {
  const bench = await openBench();
  await bench.worker(handlers);
  bench.dispatch();
  return bench;
}

const ended = (bench: Bench, id: string, state: string) =>
  waitFor(async () => (await bench.ledger.flows.find(id))?.state === state, { what: `flow ${id} to be ${state}` });

test("chain: each job runs after the one before, and reads its result", async () => {
  await using bench = await openWith(chain.handlers);
  const { id, jobs } = await chain.startChain(bench.client);
  await ended(bench, id, "succeeded");
  expect((await bench.ledger.findJob(jobs["files.report"]!))?.result).toEqual({ text: "anna: 25 bytes" });
  expect(await chain.startChain(bench.client)).toEqual({ id, created: false, state: "succeeded", jobs });
});

test("chord: the callback gets the results of the whole group, and learns which are missing", async () => {
  await using bench = await openWith(chord.handlers);
  const { id, jobs } = await chord.startChord(bench.client);
  await ended(bench, id, "succeeded");
  const { result } = (await bench.ledger.findJob(jobs["gallery.publish"]!))!;
  expect(result).toEqual({ images: 2, bytes: 3_000, missing: ["width-5000"] });
});

test("saga: when a step fails, the steps before it are undone in reverse order", async () => {
  await using bench = await openWith(saga.handlers);
  const { id } = await saga.startOrder(bench.client);
  await ended(bench, id, "compensated");
  await waitFor(() => saga.diary.length === 5, { what: "the last job" });
  expect(saga.diary).toEqual([
    "reserve lamp",
    "charge 4900 for r-1",
    "refund p-1, 4900",
    "release r-1: JOB_NOT_RETRYABLE",
    "order o-1 compensated",
  ]);
});

test("children: a job adds jobs while it runs, waits for them as one step, and what comes after waits as well", async () => {
  await using bench = await openWith(children.handlers);
  const { id, jobs } = await children.startCrawl(bench.client);
  await ended(bench, id, "succeeded");
  expect((await bench.ledger.findJob(jobs["site.index"]!))?.result).toEqual({ words: 6 });
  const tree = await bench.ledger.flows.tree(id);
  expect(tree.filter(({ addedBy }) => addedBy === "site.crawl").map(({ name }) => name)).toEqual([
    "site.crawl/page.read",
    "site.crawl/page.read-2",
    "site.crawl/page.read-3",
  ]);
  // it was taken off the worker while it waited, and no attempt was used up
  expect(await bench.ledger.findJob(jobs["site.crawl"]!)).toMatchObject({ attempt: 2, excused: 1 });
});
