import { describe, expect, test } from "vitest";
import { judge, sourceOf } from "./signed.ts";

const source = sourceOf({ provider: "yookassa" });
const body = JSON.stringify({
  type: "notification",
  event: "payment.succeeded",
  object: {
    id: "22d6d597-000f-5000-9000-145f6df21d6f",
    status: "succeeded",
    amount: { value: "2.00", currency: "RUB" },
  },
});

describe("a YooKassa notification", () => {
  test("is known by its event, object and status, as YooKassa gives events no id", () => {
    expect(judge(source, { body, clientAddress: "185.71.76.5" })).toMatchObject({
      kind: "verified",
      dedupeKey: "payment.succeeded:22d6d597-000f-5000-9000-145f6df21d6f:succeeded",
      eventId: undefined,
      eventType: "payment.succeeded",
    });
  });

  test.for([
    ["185.71.76.0", true],
    ["185.71.76.31", true],
    ["185.71.76.32", false],
    ["185.71.75.255", false],
    ["185.71.77.0", true],
    ["185.71.77.31", true],
    ["185.71.77.32", false],
    ["77.75.153.0", true],
    ["77.75.153.127", true],
    ["77.75.153.128", false],
    ["77.75.154.127", false],
    ["77.75.154.128", true],
    ["77.75.154.255", true],
    ["77.75.156.10", false],
    ["77.75.156.11", true],
    ["77.75.156.35", true],
    ["77.75.156.36", false],
    ["2a02:5180::", true],
    ["2a02:5180:ffff:ffff:ffff:ffff:ffff:ffff", true],
    ["2a02:5181::", false],
    ["2a02:517f:ffff:ffff:ffff:ffff:ffff:ffff", false],
    ["127.0.0.1", false],
  ] as const)("from %s is taken: %s", ([clientAddress, taken]) => {
    expect(judge(source, { body, clientAddress }).kind).toBe(taken ? "verified" : "rejected");
  });

  test("whose sender is unknown is refused", () => {
    expect(judge(source, { body, clientAddress: undefined })).toEqual({ kind: "rejected", cause: "address_unknown" });
  });

  test("may come from the addresses that are configured instead", () => {
    const sandbox = sourceOf({ provider: "yookassa", options: { addresses: ["127.0.0.0/8", "::1"] } });
    expect(judge(sandbox, { body, clientAddress: "127.0.0.1" }).kind).toBe("verified");
    expect(judge(sandbox, { body, clientAddress: "::1" }).kind).toBe("verified");
    expect(judge(sandbox, { body, clientAddress: "185.71.76.5" }).kind).toBe("rejected");
  });

  test.for([
    "",
    "[]",
    "null",
    '{"type":"notification"}',
    '{"type":"notification","event":"payment.succeeded","object":{}}',
  ])("that reads %j is refused as malformed", (text) => {
    expect(judge(source, { body: text, clientAddress: "77.75.156.11" })).toEqual({
      kind: "rejected",
      cause: "body_malformed",
    });
  });
});
