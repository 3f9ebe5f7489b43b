import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const readme = read("README.md");
const blocks = (language: string): readonly string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map((match) => match[1] ?? "");

const unindented = (code: string): string =>
  code
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("\n");

describe("the README", () => {
  test("shows the job example that runs as a test", () => {
    const source = read("shared/service/test/examples/ten-lines.ts").replace(", environment });", " });");
    const imports = source.slice(0, source.indexOf("\n\n"));
    const tested = `${imports}\n${/\/\/ begin\n([\s\S]*?)\/\/ end/.exec(source)?.[1] ?? "not found"}`;
    expect(blocks("ts").map(unindented)).toContain(unindented(tested));
  });

  test("shows webhook sources as valid JSON", () => {
    for (const block of blocks("json")) expect(Object.keys(JSON.parse(block) as object)).toEqual(["slack"]);
  });

  test("links only to files that are there", () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((match) => match[1] ?? "");
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((link) => !existsSync(new URL(`../../../${link}`, import.meta.url)))).toEqual([]);
  });
});
