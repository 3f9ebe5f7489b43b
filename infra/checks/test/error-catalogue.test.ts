import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ErrorCode, errorCatalogue } from "@warren/contracts";
import { expect, test } from "vitest";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const entries = Object.entries(errorCatalogue) as [ErrorCode, { readonly meaning: string; readonly fix: string }][];

test("every code has a name in capitals, and a meaning and a fix in whole sentences", () => {
  const sentence = /^[A-Z`"].{15,}\.$/s;
  const poor = entries.filter(([code, { meaning, fix }]) => {
    return !/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(code) || !sentence.test(meaning) || !sentence.test(fix);
  });
  expect(poor).toEqual([]);
});

test("every code is used by some source, and so can reach a user", () => {
  const sources = globSync("{shared,services,infra}/*/src/**/*.{ts,sql}", { cwd: repository })
    .filter((file) => !/^shared\/contracts\/src\/(errors\.ts|codes\/)/.test(file))
    .map((file) => readFileSync(join(repository, file), "utf8"))
    .join("\n");
  expect(entries.map(([code]) => code).filter((code) => !new RegExp(`\\b${code}\\b`).test(sources))).toEqual([]);
});

test("no two codes mean the same", () => {
  const meanings = entries.map(([, { meaning }]) => meaning);
  expect(new Set(meanings).size).toBe(meanings.length);
});
