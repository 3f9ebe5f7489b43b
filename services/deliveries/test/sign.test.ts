import { propertyRuns } from "@warren/testing/properties";
import { assert, property, string } from "fast-check";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { bodyOf, signatureHeaders, webhookIdOf } from "../src/sign.ts";

const event = { eventType: "invoice.paid", createdAt: "2026-11-22T10:00:00.000Z", payload: { amount: 1 } };

test("any event is signed as the official library signs it", () => {
  const secret = Buffer.alloc(32, 3);
  const library = new Webhook(secret.toString("base64"));
  const at = new Date();
  assert(
    property(string({ unit: "binary" }), string({ minLength: 1 }), (text, eventId) => {
      const body = bodyOf("plain", { ...event, payload: { text } });
      const id = webhookIdOf(eventId);
      const headers = signatureHeaders({ id, body, at }, [{ kind: "v1", key: secret }]);
      expect(headers["webhook-signature"]).toBe(library.sign(id, at, body));
      expect(library.verify(body, { ...headers })).toEqual(JSON.parse(body));
    }),
    { numRuns: propertyRuns(50) },
  );
});

test("a webhook-id is the event's id where that can stand in a header, and else a hash of it", () => {
  expect(webhookIdOf("evt_17-a")).toBe("evt_17-a");
  // dots separate the parts of what is signed
  expect(webhookIdOf("payment.succeeded:22d6")).toMatch(/^msg_[A-Za-z0-9_-]{43}$/);
  assert(
    property(string({ minLength: 1 }), string({ minLength: 1 }), (left, right) => {
      expect(webhookIdOf(left)).toMatch(/^[A-Za-z0-9_-]{1,200}$/);
      expect(webhookIdOf(left) === webhookIdOf(right)).toBe(left === right);
    }),
  );
});

test("a body is the specification's envelope, or the payload alone", () => {
  expect(bodyOf("standard", event)).toBe(
    '{"type":"invoice.paid","timestamp":"2026-11-22T10:00:00.000Z","data":{"amount":1}}',
  );
  expect(bodyOf("plain", event)).toBe('{"amount":1}');
  expect(bodyOf("plain", { ...event, payload: undefined })).toBe("null");
});
