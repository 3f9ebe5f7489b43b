import { errorCatalogue } from "@warren/contracts";
import { expect, test } from "vitest";
import { hashAddress, maskAddress } from "../src/address.ts";
import { classifySmtpFailure } from "../src/smtp-outcome.ts";
import { queueId } from "../src/smtp-pool.ts";

const facts = { provider: "smtp", operation: "send" };

function failure(fields: { code?: string; command?: string; responseCode?: number }, complete = false) {
  const error = Object.assign(new Error("failed"), { response: `${fields.responseCode ?? ""} text`, ...fields });
  return classifySmtpFailure(error, { complete }, facts);
}

test.for([
  {
    when: "the recipient is unknown",
    error: { code: "EENVELOPE", command: "RCPT TO", responseCode: 550 },
    kind: "rejected",
  },
  { when: "the content is refused", error: { code: "EMESSAGE", command: "DATA", responseCode: 554 }, kind: "rejected" },
  {
    when: "the message is too large",
    error: { code: "EENVELOPE", command: "MAIL FROM", responseCode: 552 },
    kind: "rejected",
  },
  { when: "our own library refuses the address", error: { code: "EENVELOPE", command: "API" }, kind: "rejected" },
  {
    when: "the recipient is greylisted",
    error: { code: "EENVELOPE", command: "RCPT TO", responseCode: 450 },
    kind: "deferred",
  },
  { when: "the content is put off", error: { code: "EMESSAGE", command: "DATA", responseCode: 451 }, kind: "deferred" },
  {
    when: "the server says goodbye",
    error: { code: "EENVELOPE", command: "RCPT TO", responseCode: 421 },
    kind: "trouble",
  },
  {
    when: "the session went wrong",
    error: { code: "EENVELOPE", command: "RCPT TO", responseCode: 503 },
    kind: "trouble",
  },
  {
    when: "the greeting is a refusal",
    error: { code: "EPROTOCOL", command: "CONN", responseCode: 554 },
    kind: "trouble",
  },
  { when: "the login is refused", error: { code: "EAUTH", command: "AUTH PLAIN", responseCode: 535 }, kind: "trouble" },
  {
    when: "the login fails for now",
    error: { code: "EAUTH", command: "AUTH PLAIN", responseCode: 454 },
    kind: "trouble",
  },
  {
    when: "a login is asked for late",
    error: { code: "EENVELOPE", command: "RCPT TO", responseCode: 530 },
    kind: "trouble",
  },
  {
    when: "our sender is refused",
    error: { code: "EENVELOPE", command: "MAIL FROM", responseCode: 553 },
    kind: "trouble",
  },
  {
    when: "the server has no room",
    error: { code: "EENVELOPE", command: "MAIL FROM", responseCode: 452 },
    kind: "trouble",
  },
  { when: "nobody listens", error: { code: "ESOCKET", command: "CONN" }, kind: "trouble" },
  { when: "TLS fails", error: { code: "ETLS", command: "CONN" }, kind: "trouble" },
  { when: "the time is up before the message", error: { code: "ETIMEDOUT", command: "CONN" }, kind: "trouble" },
] as const)("when $when, it is $kind", ({ error, kind }) => {
  expect(failure(error).kind).toBe(kind);
});

test("trouble counts for the breaker and can be tried again", () => {
  const { error } = failure({ code: "EAUTH", command: "AUTH PLAIN", responseCode: 535 }) as { error: unknown };
  expect(error).toMatchObject({
    code: "PROVIDER_UNAVAILABLE",
    retryable: true,
    effect: "none",
    message: expect.stringContaining("correct SMTP_URL"),
  });
});

test.for([
  { complete: false, effect: "none" },
  { complete: true, effect: "unknown" },
])(
  "a broken connection has effect $effect when the message's last byte was given away: $complete",
  ({ complete, effect }) => {
    expect(failure({ code: "ECONNECTION", command: "CONN" }, complete)).toMatchObject({ error: { effect } });
  },
);

test("a reply after the message is an answer, however late: no doubt is left", () => {
  expect(failure({ code: "EMESSAGE", command: "DATA", responseCode: 451 }, true).kind).toBe("deferred");
});

test.for([
  ["250 2.0.0 Ok: queued as 4RkQ2x1Lbz", "4RkQ2x1Lbz"],
  ["250 OK id=1tXabc-0007Qw-2k", "1tXabc-0007Qw-2k"],
  ["250 Message accepted", undefined],
] as const)("the provider's id in %j is %s", ([response, id]) => {
  expect(queueId(response)).toBe(id);
});

test.for([
  ["anna.petrova@example.com", "a***@e***.com"],
  ["x@localhost", "x***@l***"],
  ["😀@mail.co.uk", "😀***@m***.uk"],
] as const)("%s is kept as %s", ([address, masked]) => {
  expect(maskAddress(address)).toBe(masked);
});

test("one address has one hash per key, whatever its case", () => {
  expect(hashAddress("Anna@Example.com", "k")).toEqual(hashAddress("anna@example.com", "k"));
  expect(hashAddress("anna@example.com", "other")).not.toEqual(hashAddress("anna@example.com", "k"));
});

test("every code this service throws is in the catalogue", () => {
  for (const code of ["TEMPLATE_UNKNOWN", "DELIVERY_REJECTED", "DELIVERY_HELD", "DELIVERY_FENCED", "MAIL_DEFERRED"]) {
    expect(errorCatalogue).toHaveProperty(code);
  }
});
