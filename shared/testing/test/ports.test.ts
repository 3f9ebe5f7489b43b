import { expect, test } from "vitest";
import { freePort } from "../src/index.ts";

test("a port that somebody was given and does not listen on yet is given to nobody else", async () => {
  const ports: number[] = [];
  while (ports.length < 500) ports.push(await freePort());
  expect(new Set(ports).size).toBe(500);
});
