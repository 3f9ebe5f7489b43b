import { createWorld } from "@warren/testing";
import { expect, test } from "vitest";
import { githubHeaders, post, prepare, startIngress } from "./fixture.ts";
import { apiKey } from "./management.ts";
import { openShell } from "./shell.ts";

const viewer = "viewer-0123456789abcdef012";

test("warren webhook finds, shows, replays and verifies over the management API", async () => {
  await using world = await createWorld();
  await prepare(world);
  await using running = await startIngress(world, {
    apiKeys: [apiKey, `viewer:requests.read:${viewer}`],
  });
  const run = await openShell(running);
  const warren = (...args: readonly string[]) => run(["webhook", ...args]);
  const warrenAs = (keys: string, args: readonly string[]) => run(["webhook", ...args], { WARREN_API_KEYS: keys });

  const entry = `viewer:requests.read:${viewer}`;
  const body = JSON.stringify({ ref: "refs/heads/main", commits: [{ id: "c1" }] });
  const accepted = await post(running, "github", githubHeaders(body, "d-1"), body);
  const id = String(accepted.body["requestId"]);
  await post(running, "github", githubHeaders(body, "d-2", "forged"), body);
  await running.ingress.drain();

  const found = await warren("requests", "-s", "github", "-b", "commits[*].id=c1", "--status", "accepted");
  expect(found).toMatchObject({ exitCode: 0, stderr: "" });
  expect(found.stdout.trim().split("\n").slice(1)).toEqual([
    expect.stringMatching(new RegExp(`^${id}\t.*\tgithub\taccepted\tpush`)),
  ]);
  const rejected = (await warren("requests", "--cause", "signature_mismatch")).stdout;
  expect(rejected).toContain("rejected: signature_mismatch");
  const forged = rejected.trim().split("\n").at(-1)?.split("\t")[0] ?? "";
  expect((await warren("requests", "-l", "1")).stdout).toMatch(/looked at \d+ requests; more: --cursor \S+\n$/);

  const shown = await warren("request", id);
  expect(shown.stdout).toContain("header x-hub-signature-256\t[redacted]\n");
  expect(shown.stdout).toContain(`body\t${body}\n`);
  expect((await warren("request", id, "--reveal")).stdout).toContain("header x-hub-signature-256\tsha256=");
  expect((await warren("events", "--state", "unfinished")).stdout).toContain(`${id}\t`);
  expect((await warren("event", id)).stdout).toContain("state\tunfinished\n");

  expect((await warren("replay", id, "--why", "test")).stdout).toBe(`${id} is left alone: unfinished\n`);
  expect((await warren("replay", id, "--why", "test", "--mode", "new")).stdout).toBe(
    `${id}: 1 jobs made, 0 brought back, 0 events to the broker\n`,
  );
  expect((await warren("verify", forged, "--why", "test")).stdout).toBe(
    `${forged} is left alone: still_rejected (signature_mismatch)\n`,
  );
  const shownTo = await warrenAs(entry, ["request", id]);
  expect([shownTo.exitCode, shownTo.stdout]).toEqual([0, expect.stringContaining("\t[redacted]\n")]);
  for (const refused of [
    ["request", id, "--reveal"],
    ["replay", id, "--why", "test"],
    ["verify", forged, "--why", "test"],
    ["replays", "create", "--from", "2026-01-01T00:00:00Z", "--why", "test", "--dry-run"],
  ]) {
    expect(await warrenAs(entry, refused)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("API_SCOPE_MISSING: this needs the scope requests.write; the key viewer has"),
    });
  }
  const many = ["replays", "create", "-s", "github", "--from", "2026-01-01T00:00:00Z", "--why", "test"] as const;
  expect((await warren(...many, "--dry-run")).stdout).toBe("1 would be taken\n");
  expect((await warren(...many)).stdout).toMatch(/^replay \S+ is made/);
  await expect.poll(async () => (await warren("replays")).stdout).toContain("done\t1\t0\tunfinished 1");
  const replay = (await warren("replays")).stdout.trim().split("\n").at(-1)?.split("\t")[0] ?? "";
  expect(await warren("replays", "pause", replay)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("REPLAY_FINISHED"),
  });
  expect(await warren("event", forged)).toMatchObject({ exitCode: 4 });
  expect(await warren("requests", "-b", "a..b")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("LEDGER_DATA_INVALID"),
  });
  expect(await warren("replay", id)).toMatchObject({ exitCode: 2 });
});
