import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { example } from "./example.ts";
import { openBench } from "./fixture.ts";

const textOf = (file: string) => readFile(new URL(file, import.meta.url), "utf8");

test("the example of the README runs", async () => {
  await using bench = await openBench();
  const { id, worker, client } = await example({ ...bench, log: bench.log.logger });
  expect((await bench.until(id, "succeeded")).result).toEqual({ greeted: "Anna" });
  await worker[Symbol.asyncDispose]();
  await client[Symbol.asyncDispose]();
});

test("the README shows the example as it runs", async () => {
  const source = await textOf("example.ts");
  const code = source.slice(source.indexOf("// begin\n") + "// begin\n".length, source.indexOf("  // end"));
  expect(await textOf("../README.md")).toContain(code.replaceAll(/^ {2}/gm, ""));
});
