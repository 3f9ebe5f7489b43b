import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { openBench } from "../fixture.ts";
import { chargeCard, indexPage, renderReport, workersExample } from "./workers.ts";

test("weights, a batch and threads work together in one worker", async () => {
  await using bench = await openBench();
  const indexed: string[] = [];
  const { ledger, session, metrics } = bench;
  await using worker = workersExample({ ledger, session, metrics, log: bench.log.logger }, async (url) =>
    indexed.push(url),
  );
  await worker.start();
  const [charge, report] = await Promise.all([
    bench.client.enqueue(chargeCard, { cents: 1_200 }),
    bench.client.enqueue(renderReport, { pages: 100 }),
  ]);
  const pages = await bench.client.enqueueMany(
    indexPage,
    ["https://a.example/", "https://b.example/"].map((url) => ({ payload: { url } })),
  );
  expect((await bench.until(charge.id, "succeeded")).result).toEqual({ charged: 1_200 });
  expect((await bench.until(report.id, "succeeded")).result).toEqual({ total: 5_050 });
  for (const { id } of pages) await bench.until(id, "succeeded");
  expect(indexed.sort()).toEqual(["https://a.example/", "https://b.example/"]);
});

const read = (file: string) => readFile(new URL(file, import.meta.url), "utf8");

test("the docs show the example as it runs", async () => {
  const source = await read("workers.ts");
  const code = source.slice(source.indexOf("// begin\n") + "// begin\n".length, source.indexOf("  // end"));
  expect(await read("../../../../infra/docs/workers.md")).toContain(
    code.replaceAll(/^ {2}/gm, "").replace("return ", "const worker = "),
  );
  expect(await read("../../../../infra/docs/workers.md")).toContain(
    (await read("render-report.ts")).split("\n\n")[1]?.trim(),
  );
});
