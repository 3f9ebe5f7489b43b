import { readFile } from "node:fs/promises";
import { WarrenError } from "@warren/contracts";
import { chain, defineEvent, defineJob, handle, step, subscribe } from "@warren/jobs";
import { createWorld, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { openWarren, type WarrenOptions } from "../src/open-warren.ts";
import { tenLines } from "./examples/ten-lines.ts";

const environmentOf = (world: { readonly databaseUrl: string; readonly amqpUrl: string }) => ({
  DATABASE_URL: world.databaseUrl,
  AMQP_URL: world.amqpUrl,
  LOG_LEVEL: "fatal",
});

test("the ten lines of the READMEs run, and the README of this room shows them as they run", async () => {
  await using world = await createWorld();
  expect(await tenLines(environmentOf(world))).toEqual({ greeted: "Anna" });
  const source = await readFile(new URL("examples/ten-lines.ts", import.meta.url), "utf8");
  const imports = source.slice(0, source.indexOf("\n\n"));
  const code = source
    .slice(source.indexOf("// begin\n") + "// begin\n".length, source.indexOf("  // end"))
    .replaceAll(/^ {2}/gm, "")
    .replace(", environment });", " });");
  expect(await readFile(new URL("../README.md", import.meta.url), "utf8")).toContain(`${imports}\n\n${code}`);
});

test("dispose lets running handlers finish, of jobs and of events, and leaves no connection", async () => {
  await using world = await createWorld();
  const slow = defineJob({ name: "slow", payload: z.object({}) });
  const told = defineEvent({ type: "told", schema: z.object({}) });
  const begun: string[] = [];
  const ended: string[] = [];
  const { promise: all, resolve: allBegun } = Promise.withResolvers<void>();
  const work = async (what: string) => {
    begun.push(what);
    if (begun.length === 2) allBegun();
    await all;
    await new Promise((resolve) => setTimeout(resolve, 300));
    ended.push(what);
  };
  {
    await using warren = await openWarren({ name: "test", environment: environmentOf(world) });
    await warren.startWorker([handle(slow, () => work("job"))]);
    await warren.startSubscriber([subscribe(told, { service: "test", name: "told" }, () => work("event"))]);
    await warren.client.enqueue(slow, {});
    await warren.client.publish(told, {});
    await waitFor(() => begun.length === 2);
    expect(ended).toEqual([]);
  }
  expect(ended.toSorted()).toEqual(["event", "job"]);
});

test("what outlives its Warren is told so, call by call", async () => {
  await using world = await createWorld();
  const any = defineJob({ name: "any", payload: z.object({}) });
  const told = defineEvent({ type: "told", schema: z.object({}) });
  const handler = handle(any, () => undefined);
  const subscription = subscribe(told, { service: "test", name: "told" }, () => undefined);
  const when = { name: "hourly", job: any, payload: {}, when: "@hourly" };
  const id = "01890000-0000-7000-8000-000000000000";

  const warren = await openWarren({ name: "test", environment: environmentOf(world) });
  const worker = await warren.startWorker([handler]);
  const subscriber = await warren.startSubscriber([subscription]);
  await warren[Symbol.asyncDispose]();

  const { client, control, ledger, limits } = warren;
  const calls: Readonly<Record<string, () => unknown>> = {
    enqueue: () => client.enqueue(any, {}),
    enqueueMany: () => client.enqueueMany(any, [{ payload: {} }]),
    prepare: () => client.prepare(any, {}),
    publish: () => client.publish(told, {}),
    startFlow: () => client.startFlow(chain("one", [step(any, {})])),
    releaseUnique: () => client.releaseUnique(any, "key"),
    runNow: () => client.delayed.runNow(id),
    upsert: () => client.schedules.upsert(when),
    waitFor: () => control.waitFor(id),
    cancel: () => control.cancel(id, { by: "anna", reason: "late" }),
    "flows.retry": () => control.flows.retry(id),
    limits: () => limits.pause("default"),
    findJob: () => ledger.findJob(id),
    transaction: () => ledger.transaction(async (run) => run("select 1", [])),
    startWorker: () => warren.startWorker([handler]),
    startSubscriber: () => warren.startSubscriber([subscription]),
    "worker.start": () => worker.start(),
    "worker.pause": () => worker.pause(),
    "worker.resume": () => worker.resume(),
    "worker.setConcurrency": () => worker.setConcurrency(3),
    "subscriber.start": () => subscriber.start(),
  };
  const codes = await Promise.all(
    Object.entries(calls).map(async ([name, call]) => [
      name,
      await (async () => call())().then(
        () => "went on",
        (error: unknown) => (error instanceof WarrenError ? [error.code, error.retryable] : error),
      ),
    ]),
  );
  expect(Object.fromEntries(codes)).toEqual(
    Object.fromEntries(Object.keys(calls).map((name) => [name, ["WARREN_CLOSED", true]])),
  );
});

test("an empty database is refused with what to do, or migrated where that is asked for", async () => {
  await using world = await createWorld({ database: "empty" });
  const environment = environmentOf(world);
  await expect(openWarren({ name: "test", environment })).rejects.toMatchObject({ code: "LEDGER_SCHEMA_BEHIND" });
  await using warren = await openWarren({ name: "test", environment, migrate: true });
  const { id } = await warren.client.enqueue(defineJob({ name: "any", payload: z.object({}) }), {});
  expect(await warren.ledger.findJob(id)).toMatchObject({ state: "ready" });
});

test.for([
  { what: "a misspelt option", options: { nme: "test" }, code: "JOB_OPTION_UNKNOWN" },
  { what: "an option that is not there", options: { name: "test", drain: 5 }, code: "JOB_OPTION_UNKNOWN" },
])("$what is refused before anything is opened", async ({ options, code }) => {
  await expect(openWarren(options as unknown as WarrenOptions)).rejects.toMatchObject({ code });
});

test("every wrong setting is named at once, and none with its value", async () => {
  const environment = { DATABASE_URL: "mysql://secret", WARREN_PAYLOAD_KEYS: "", LOG_LEVEL: "loud" };
  const opening = openWarren({ name: "test", environment });
  await expect(opening).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  await expect(opening).rejects.toThrow(/DATABASE_URL[\s\S]*AMQP_URL[\s\S]*LOG_LEVEL/);
  await expect(opening).rejects.not.toThrow("secret");
});
