import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const repository = fileURLToPath(new URL("../../..", import.meta.url));

test("the top level holds the rooms, six files, and nothing else but dotfiles and installed packages", () => {
  const names = readdirSync(repository).filter((name) => !name.startsWith(".") && name !== "node_modules");
  expect(names.sort()).toEqual([
    "LICENSE",
    "README.md",
    "docker-compose.yml",
    "infra",
    "package-lock.json",
    "package.json",
    "services",
    "shared",
    "tsconfig.base.json",
  ]);
});
