import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { spawnService } from "../src/index.ts";

const entry = fileURLToPath(new URL("fixtures/program.ts", import.meta.url));

test("a service runs with its own environment alone, and its log can be asked", async () => {
  await using service = await spawnService({ entry, env: { GREETING: "hi" } });
  expect(await (await fetch(`${service.url}/hello`)).text()).toBe("hi");
  expect(await service.waitForRecord((record) => record["path"] === "/hello")).toMatchObject({ msg: "request" });
});

test("SIGTERM lets it end in its own way, SIGKILL does not", async () => {
  await using polite = await spawnService({ entry, env: {} });
  expect(await polite.terminate()).toEqual({ code: 0, signal: null });
  await using killed = await spawnService({ entry, env: {} });
  await killed.kill();
  expect(await killed.exited).toEqual({ code: null, signal: "SIGKILL" });
});

test("a service that ends while starting fails with what it logged", async () => {
  await expect(spawnService({ entry: "no/such/service.ts", env: {} })).rejects.toThrow(
    /ended while starting.*no\/such\/service/s,
  );
});
