import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createWorld } from "@warren/testing";
import { expect, test } from "vitest";
import { prepare, startIngress } from "./fixture.ts";
import { apiKey, newKeyRing } from "./management.ts";
import { openShell } from "./shell.ts";

test("warren rule makes, lists, shows, tries out, switches and deletes over the management API", async () => {
  await using world = await createWorld();
  await prepare(world);
  await using running = await startIngress(world, { apiKeys: [apiKey], keyRing: newKeyRing() });
  const run = await openShell(running);
  const warren = (args: string) => run(args.split(" "), {});
  const folder = await mkdtemp(join(tmpdir(), "warren-rule-"));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(folder, { recursive: true }));
  const file = async (name: string, content: unknown) => {
    await writeFile(join(folder, name), JSON.stringify(content));
    return join(folder, name);
  };
  const large = await file("large", {
    name: "large",
    source: "hub",
    to: { kind: "job", job: "review", queue: "orders" },
  });

  expect(await warren(`rule create ${large}`)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^large is made/),
  });
  expect(await warren(`rule create ${large}`)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/ROUTE_RULE_NAME_TAKEN/),
  });
  expect(await warren(`rule create ${await file("typo", { name: "x", too: {} })}`)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/API_REQUEST_INVALID.*did you mean "to"/),
  });
  expect(await warren(`rule create ${await file("list", [])}`)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/no rule/),
  });
  expect((await warren("rule disable large")).stdout).toBe("large is disabled\n");
  expect((await warren("rule list")).stdout).toContain("large\thub\tall\tjob review\tdisabled\n");
  expect((await warren("rule enable large")).stdout).toBe("large is enabled\n");
  expect((await warren("rule show large")).stdout).toContain("enabled\ttrue\n");

  await warren("source create hub -p github");
  await warren("source test hub");
  const [, request = ""] = /"id": "([^"]+)"/.exec((await warren("webhook requests --json")).stdout) ?? [];
  const tried = await warren(`rule test ${large} ${request}`);
  expect([tried.exitCode, JSON.parse(tried.stdout)]).toMatchObject([
    0,
    [{ takes: true, would: [{ kind: "job", job: "review" }] }],
  ]);

  expect((await warren("rule delete large")).stdout).toBe("large is deleted\n");
  expect(await warren("rule delete large")).toMatchObject({
    exitCode: 4,
    stderr: expect.stringMatching(/ROUTE_RULE_UNKNOWN/),
  });
});
