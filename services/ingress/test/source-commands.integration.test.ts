import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createWorld } from "@warren/testing";
import { expect, test } from "vitest";
import { githubHeaders, post, prepare, startIngress } from "./fixture.ts";
import { apiKey, newKeyRing } from "./management.ts";
import { openShell } from "./shell.ts";

test("warren source makes, shows, tests, switches, rotates, revokes and deletes over the management API", async () => {
  await using world = await createWorld();
  await prepare(world);
  await using running = await startIngress(world, { apiKeys: [apiKey], keyRing: newKeyRing() });
  const run = await openShell(running);
  const warren = (args: string, environment: Readonly<Record<string, string>> = {}) =>
    run(args.split(" "), environment);

  const secretFile = join(tmpdir(), `warren-source-${process.pid}`);
  await writeFile(secretFile, "It-is-a-secret\n", { mode: 0o600 });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(secretFile));
  expect(await warren(`source create hub -p github --secret-file ${secretFile} --disabled`)).toMatchObject({
    exitCode: 0,
    stdout: "hub takes webhooks at /webhooks/hub\n",
  });
  expect(await warren("source test hub")).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("404") });
  expect((await warren("source enable hub")).exitCode).toBe(0);
  expect(await warren('source test hub -t push -d {"n":1}')).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^202 .*accepted.*\ncorrelation id test-/),
  });
  const rotated = await warren("source rotate hub --overlap 3600");
  const fresh = rotated.stdout.trim().split(": ").at(-1) ?? "";
  const deliver = async (id: string, secret: string) =>
    (await post(running, "hub", githubHeaders("{}", id, secret), "{}")).status;
  expect([await deliver("1", fresh), await deliver("2", "It-is-a-secret")]).toEqual([202, 202]);
  const shown = await warren("-o json source show hub");
  expect(shown.stdout).not.toContain(fresh);
  const [, old = ""] = /"id": "([^"]+)"/.exec(shown.stdout) ?? [];
  expect((await warren(`source revoke hub ${old}`)).exitCode).toBe(0);
  expect(await deliver("3", "It-is-a-secret")).toBe(401);
  expect((await warren("source list")).stdout).toContain("hub\tgithub\tapi\tenabled\t1\n");
  expect((await warren("source disable hub")).stdout).toBe("hub is disabled\n");
  expect((await warren("source delete hub")).exitCode).toBe(0);

  expect(await warren("source show hub")).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining("WEBHOOK_SOURCE_UNKNOWN"),
  });
  expect(await warren("source create hub -p nobody")).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("body.provider: expected one of"),
  });
  expect(await warren("source create hub -p githbu")).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('body.provider: no such provider; did you mean "github"?'),
  });
  const wrongKey = await warren("source list", { WARREN_API_KEYS: "somebody-elses-key-of-length" });
  expect([wrongKey.exitCode, wrongKey.stderr]).toEqual([2, expect.stringContaining("API_KEY_INVALID")]);
  const nobody = await warren("source list", { WARREN_API_URL: "http://127.0.0.1:1/api/v1" });
  expect([nobody.exitCode, nobody.stderr]).toEqual([3, expect.stringContaining("API_UNREACHABLE")]);
  const elsewhere = await warren("source list", { WARREN_API_URL: `${running.url}/api/v1` });
  expect([elsewhere.exitCode, elsewhere.stderr]).toEqual([1, expect.stringContaining("HTTP_NOT_FOUND")]);
  expect((await warren("source rotate hub --secret-file /nowhere")).exitCode).toBe(2);
});
