import { execFile } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const planted = fileURLToPath(new URL("../planted", import.meta.url));

/** What each gate must say about each planted tree; the key is its folder in `planted/`. */
const expected = {
  "format/indentation": "Formatter would have printed",
  "format/import-order": "Sort these imports",
  "lint/any": "no-explicit-any",
  "lint/console": "no-console",
  "lint/cycle": "no-cycle",
  "lint/default-export": "no-default-export",
  "lint/exhaustive-switch": "switch-exhaustiveness-check",
  "lint/floating-promise": "no-floating-promises",
  "lint/max-lines": "max-lines",
  "lint/misused-promise": "no-misused-promises",
  "lint/non-null": "no-non-null-assertion",
  "lint/thrown-text": "only-throw-error",
  "types/enum": "TS1294",
  "types/unchecked-index": "TS2322",
  "types/wrong-type": "TS2322",
  "deadcode/unlisted-dependency": "Unlisted dependencies",
  "deadcode/unused-dependency": "Unused dependencies",
  "deadcode/unused-export": "Unused exports",
  "deadcode/unused-file": "Unused files",
} as const;

/** The gate's script in package.json. */
const scripts = { format: "format:check", lint: "lint", types: "types", deadcode: "deadcode" } as const;
type Gate = keyof typeof scripts;

let workshop: string;

beforeAll(() => {
  workshop = mkdtempSync(join(tmpdir(), "warren-planted-"));
});

afterAll(() => rmSync(workshop, { recursive: true, force: true }));

/** A repository that holds this one's settings, its installed packages and one planted tree. */
function plant(tree: string): string {
  const folder = join(workshop, tree);
  mkdirSync(folder, { recursive: true });
  for (const name of [".biome.json", ".gitignore", ".knip.json", ".oxlintrc.json", "tsconfig.base.json"]) {
    cpSync(join(repository, name), join(folder, name));
  }
  // The one tool of the repository that is used by tests alone, and those are not here.
  const manifest = readFileSync(join(repository, "package.json"), "utf8").replace(/\n.*"fast-check".*/, "");
  writeFileSync(join(folder, "package.json"), manifest);
  cpSync(join(planted, tree), folder, { recursive: true });
  cpSync(join(repository, "shared", "contracts", "tsconfig.json"), join(folder, "shared", "planted", "tsconfig.json"));
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** Runs the gate as `npm test` does, in that folder: the first of its commands, since what comes after it looks at rooms that are not planted. */
function run(gate: Gate, folder: string): Promise<{ readonly code: number; readonly output: string }> {
  const { scripts: all } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  const [command = ""] = all[scripts[gate]]?.split(" && ") ?? [];
  const [tool = "", ...args] = command.split(" ");
  return new Promise((resolve) => {
    execFile(join(repository, "node_modules", ".bin", tool), args, { cwd: folder }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : 1, output: stdout + stderr }),
    );
  });
}

test("every planted tree has its line in the table", () => {
  const trees = globSync("{format,lint,types,deadcode}/*", { cwd: planted }).sort();
  expect(trees).toEqual(Object.keys(expected).sort());
});

describe("a tree without a violation is green", () => {
  test.for(Object.keys(scripts) as Gate[])("%s", { timeout: 30_000 }, async (gate) => {
    const { code, output } = await run(gate, plant(join("clean", gate)));
    expect({ code, output: code === 0 ? "" : output }).toEqual({ code: 0, output: "" });
  });
});

describe("a planted violation turns its gate red, by name", () => {
  test.for(Object.entries(expected))("%s", { timeout: 30_000 }, async ([tree, complaint]) => {
    const [gate] = tree.split("/") as [Gate];
    const { code, output } = await run(gate, plant(tree));
    expect(output).toContain(complaint);
    expect(code).toBe(1);
  });
});
