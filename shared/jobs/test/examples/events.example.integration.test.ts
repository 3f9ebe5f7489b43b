import { readFile } from "node:fs/promises";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { openBench } from "../fixture.ts";
import { events } from "./events.ts";

const textOf = (file: string) => readFile(new URL(file, import.meta.url), "utf8");

test("the example of the events page runs", async () => {
  await using bench = await openBench();
  const { ledger } = bench;
  await bench.session.connected();
  await ledger.query("create table orders (id text, total numeric)", []);
  await ledger.query("create table invoices (order_id text, total numeric)", []);
  const { subscriber, client } = await events({ ...bench, log: bench.log.logger });
  const invoiced = async () => (await ledger.query("select order_id from invoices order by order_id", [])).rows;
  await waitFor(async () => (await invoiced()).length === 1);
  expect(await invoiced()).toEqual([{ order_id: "o-2" }]);
  // the dispatcher sends what was written in a transaction; here it is enough to see that it waits for it
  const [waiting] = await ledger.events.outbox.takeFree({ limit: 10 });
  expect(waiting).toMatchObject({ type: "orders.created", body: '{"orderId":"o-1","total":9.5}' });
  await subscriber[Symbol.asyncDispose]();
  await client[Symbol.asyncDispose]();
});

test("the events page shows the example as it runs", async () => {
  const source = await textOf("events.ts");
  const code = source.slice(source.indexOf("// begin\n") + "// begin\n".length, source.indexOf("  // end"));
  expect(await textOf("../../../../infra/docs/events.md")).toContain(code.replaceAll(/^ {2}/gm, ""));
});
