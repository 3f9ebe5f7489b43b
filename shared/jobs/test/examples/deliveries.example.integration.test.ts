import { expect, test } from "vitest";
import { createEndpoints, createKeyRing } from "../../src/index.ts";
import { openBench } from "../fixture.ts";
import { connectCustomer, payInvoice } from "./deliveries.ts";

test("an endpoint is made in code, and an event goes out with the caller's own data or not at all", async () => {
  await using bench = await openBench();
  const { ledger, client } = bench;
  const keyRing = createKeyRing({ current: "k1", keys: { k1: Buffer.alloc(32, 1) } });
  const endpoints = createEndpoints({ ledger, keyRing });
  const { id, secret } = await connectCustomer(endpoints, "https://acme.example.com/hooks");
  expect(secret).toMatch(/^whsec_/);
  expect(await endpoints.get(id)).toMatchObject({ eventTypes: ["invoice.*"], state: { kind: "enabled" } });
  expect(await endpoints.open(id)).toMatchObject({ keys: [{ kind: "v1" }], settings: { rate: { limit: 10 } } });

  await ledger.query("create table invoices (id int primary key, paid_at timestamptz)", []);
  await ledger.query("insert into invoices values (1), (2)", []);
  await ledger.transaction((tx) => payInvoice(client, tx, 1));
  const lost = ledger.transaction(async (tx) => {
    await payInvoice(client, tx, 2);
    throw new Error("changed my mind");
  });
  await expect(lost).rejects.toThrow("changed my mind");
  const { rows } = await ledger.query(`select payload from ${ledger.table("jobs")} where name = 'publish-webhook'`, []);
  expect(rows).toMatchObject([{ payload: { eventId: "invoice-1-paid" } }]);
});

test.for([
  [{ url: "gopher://x/" }, "JOB_OPTION_INVALID"],
  [{ url: "https://example.com/", timeout: 5 }, "JOB_OPTION_UNKNOWN"],
] as const)("the endpoint %j is refused with %s", async ([fields, code]) => {
  await using bench = await openBench();
  const endpoints = createEndpoints({ ledger: bench.ledger, keyRing: undefined });
  await expect(endpoints.create(fields)).rejects.toMatchObject({ code });
});
