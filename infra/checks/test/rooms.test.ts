import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const rooms = globSync("{shared,services,infra}/*/package.json", { cwd: repository }).map(dirname).sort();

function read(path: string): string | undefined {
  try {
    return readFileSync(join(repository, path), "utf8");
  } catch {
    return undefined;
  }
}

// The type-aware lint takes the nearest tsconfig.json; without one it judges by the compiler's lax defaults and misses things.
test("every room hands the shared compiler settings to the type-aware lint", () => {
  const expected = { extends: "../../tsconfig.base.json", include: ["src", "test"] };
  const actual = rooms.map((room): unknown => JSON.parse(read(join(room, "tsconfig.json")) ?? '"missing"'));
  expect(Object.fromEntries(rooms.map((room, index) => [room, actual[index]]))).toEqual(
    Object.fromEntries(rooms.map((room) => [room, expected])),
  );
});

test("every room tells what it is", () => {
  expect(rooms.filter((room) => (read(join(room, "README.md")) ?? "").trim().length < 200)).toEqual([]);
});
