import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

const textOf = (file: string) => readFile(new URL(file, import.meta.url), "utf8");

test.for([
  ["shop.example.test.ts", "manual"],
  ["shop.example.test.ts", "clock"],
  ["shop.example.integration.test.ts", "real"],
])("the page for users shows %s, %s, as it runs", async ([file = "", part = ""]) => {
  const source = await textOf(file);
  const begin = `// begin ${part}\n`;
  const code = source.slice(source.indexOf(begin) + begin.length, source.indexOf(`// end ${part}`));
  expect(code).toContain("test(");
  expect(await textOf("../../../../infra/docs/testing.md")).toContain(code);
});
