import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@warren/ledger";
import { createWorld } from "@warren/testing";
import { expect, test } from "vitest";
import { failDelivery } from "./failed-delivery.ts";
import { jobsOf, prepare, startIngress } from "./fixture.ts";
import { apiKey, newKeyRing } from "./management.ts";
import { openShell } from "./shell.ts";

const target = "https://hooks.example.com/in";

test("warren endpoint makes, shows, switches, rotates, tests, retries and deletes, and shows deliveries", async () => {
  await using world = await createWorld();
  await prepare(world);
  await using running = await startIngress(world, { apiKeys: [apiKey], keyRing: newKeyRing() });
  const run = await openShell(running);
  const warren = (args: string) => run(["endpoint", ...args.split(" ")]);
  const asJson = async (args: string): Promise<unknown> =>
    JSON.parse((await run(["-o", "json", "endpoint", ...args.split(" ")])).stdout);
  await using files = new AsyncDisposableStack();
  async function fileOf(text: string): Promise<string> {
    const file = join(tmpdir(), `warren-endpoint-${newId()}`);
    await writeFile(file, text, { mode: 0o600 });
    files.defer(() => rm(file));
    return file;
  }

  const settings = await fileOf('{"headers":{"Authorization":"Bearer sesame"},"rate":{"limit":10,"perMs":1000}}');
  const made = await warren(`create ${target} -t invoice.*,order.# --settings-file ${settings}`);
  const [, id = "", secret = ""] =
    /^(\S+) sends to \S+\nsecret, shown this once: (whsec_\S+)\n$/.exec(made.stdout) ?? [];
  expect([made.exitCode, made.stderr, secret.length > 30]).toEqual([0, "", true]);
  expect((await warren("list")).stdout).toContain(`${id}\t${target}\tinvoice.*,order.#\tenabled\t\n`);
  expect(await asJson(`show ${id}`)).toMatchObject({ id, headerNames: ["Authorization"], rate: { limit: 10 } });
  const shown = (await warren(`show ${id}`)).stdout;
  expect(shown).toContain(`url\t${target}\n`);
  expect(shown).not.toContain(secret);
  expect(shown).not.toContain("sesame");

  const own = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const rotated = await warren(`rotate ${id} --overlap 3600 --secret-file ${await fileOf(`${own}\n`)}`);
  expect(rotated.stdout).toBe(`${id} sends to ${target}\nsecret, shown this once: ${own}\n`);
  expect((await warren(`rotate ${id} --kind v1a`)).stdout).toMatch(/\npublic key: whpk_\S+\n$/);

  expect(await warren(`test ${id} -t order.placed -d {"n":1}`)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^under way; .* warren endpoint delivery \S+\n$/),
  });
  expect(await jobsOf(running)).toMatchObject([
    { name: "deliver-webhook", payload: { endpoint: id, eventType: "order.placed", payload: { n: 1 } } },
  ]);
  expect((await warren(`disable ${id}`)).stdout).toBe(`${id} is disabled\n`);
  expect((await warren("list")).stdout).toContain("\tdisabled: manual\t");
  expect(await warren(`test ${id}`)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^error ENDPOINT_DISABLED: .*\nfix: /),
  });
  expect((await warren(`enable ${id}`)).stdout).toBe(`${id} is enabled\n`);

  const first = await failDelivery(running.ledger, { endpointId: id, url: target });
  const second = await failDelivery(running.ledger, { endpointId: id, url: target });
  const page = await warren(`deliveries ${id} -s failed -t invoice.paid --since 2026-01-01T00:00:00Z -l 1`);
  const [, line, more = ""] = page.stdout.split("\n");
  expect(line).toMatch(new RegExp(`^${second}\t.*\t${id}\tinvoice.paid\tevt_${second}\tfailed: DELIVERY_STATUS\t1\t$`));
  const [cursor = ""] = more.split(" ").slice(-1);
  expect((await warren(`deliveries -l 1 --cursor ${cursor}`)).stdout).toContain(`\n${first}\t`);
  expect(await asJson(`deliveries --event evt_${first}`)).toMatchObject({ items: [{ id: first }], nextCursor: null });
  const delivery = (await warren(`delivery ${first}`)).stdout;
  expect(delivery).toContain('body\t{"a":1}\n');
  expect(delivery).toMatch(
    /\ntry 1 of 1\tfailed at \S+, 7 ms, DELIVERY_STATUS, the endpoint answered 500, answered 500, no\n$/,
  );
  expect(await asJson(`delivery ${first}`)).toMatchObject({ state: "failed", attempts: [{ number: 1 }] });
  expect((await warren(`resend ${first}`)).stdout).toMatch(/^\S+ is sent again; /);
  expect((await warren(`retry ${id} --since 2026-01-01T00:00:00Z`)).stdout).toMatch(/^1 deliveries are sent again; /);
  expect(await jobsOf(running)).toHaveLength(3);

  expect((await warren(`delete ${id}`)).exitCode).toBe(0);
  for (const args of [`show ${id}`, `enable ${id}`, `rotate ${id}`, `test ${id}`]) {
    expect(await warren(args)).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("ENDPOINT_UNKNOWN") });
  }
  expect(await warren(`delivery ${newId()}`)).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining("DELIVERY_UNKNOWN"),
  });
  for (const [args, says] of [
    ["create ftp://x", "body.url: expected an http(s) URL"],
    ["create https://a.example --settings-file /nowhere", "--settings-file /nowhere cannot be read"],
    [`create https://a.example --settings-file ${await fileOf("[]")}`, "--settings-file holds no JSON object"],
    [`create https://a.example --settings-file ${await fileOf('{"uri":1}')}`, '"uri"'],
    ["retry x", "--since"],
    ["retry x --since yesterday", "such as 2026-01-31T12:00:00Z"],
    ["rotate x --overlap -1", "whole seconds"],
    ["deliveries -s lost", "Allowed choices are pending, sending, delivered, failed"],
    ["show x", "path.id"],
  ] as const) {
    expect([args, await warren(args)]).toMatchObject([args, { exitCode: 2, stderr: expect.stringContaining(says) }]);
  }
});
