import { FencedError, LedgerDataError, mayBeOneItem, parseSchemaName, tablesOf } from "@warren/ledger";
import { expect, test } from "vitest";
import { asLedgerError } from "../src/errors.ts";

const thrown = (code: string | undefined, message = "x"): Error => Object.assign(new Error(message), { code });

test.for([
  { when: "the connection is refused", error: thrown("ECONNREFUSED"), code: "LEDGER_UNAVAILABLE", retryable: true },
  { when: "the connection is reset", error: thrown("ECONNRESET"), code: "LEDGER_UNAVAILABLE", retryable: true },
  { when: "Postgres shuts down", error: thrown("57P01"), code: "LEDGER_UNAVAILABLE", retryable: true },
  { when: "Postgres starts up", error: thrown("57P03"), code: "LEDGER_UNAVAILABLE", retryable: true },
  { when: "connections are used up", error: thrown("53300"), code: "LEDGER_UNAVAILABLE", retryable: true },
  { when: "the disk is full", error: thrown("53100"), code: "LEDGER_UNAVAILABLE", retryable: true },
  { when: "a statement took too long", error: thrown("57014"), code: "LEDGER_UNAVAILABLE", retryable: true },
  { when: "a lock was not to be had", error: thrown("55P03"), code: "LEDGER_UNAVAILABLE", retryable: true },
  {
    when: "nobody answers",
    error: thrown(undefined, "Query read timeout"),
    code: "LEDGER_UNAVAILABLE",
    retryable: true,
  },
  {
    when: "the connection ended",
    error: thrown(undefined, "Connection terminated unexpectedly"),
    code: "LEDGER_UNAVAILABLE",
    retryable: true,
  },
  { when: "a deadlock was broken", error: thrown("40P01"), code: "LEDGER_CONFLICT", retryable: true },
  { when: "a character cannot be stored", error: thrown("22P05"), code: "LEDGER_DATA_INVALID", retryable: false },
  { when: "a check fails", error: thrown("23514"), code: "LEDGER_DATA_INVALID", retryable: false },
  { when: "a row is too large", error: thrown("54000"), code: "LEDGER_DATA_INVALID", retryable: false },
  { when: "a table is missing", error: thrown("42P01"), code: "LEDGER_STATEMENT_FAILED", retryable: false },
  { when: "something else was thrown", error: "what", code: "LEDGER_STATEMENT_FAILED", retryable: false },
])("when $when, the error is $code", ({ error, code, retryable }) => {
  const failure = asLedgerError(error, "test");
  expect(failure.code).toBe(code);
  expect(failure.retryable).toBe(retryable);
  expect(failure.cause).toBe(error);
});

test("our own errors pass unchanged, so that a fence inside a transaction stays a fence", () => {
  const fenced = new FencedError("id", 1);
  expect(asLedgerError(fenced, "transaction")).toBe(fenced);
});

test("only errors that kept nothing and may have one culprit split a batch", () => {
  expect(mayBeOneItem(new LedgerDataError("x"))).toBe(true);
  expect(mayBeOneItem(asLedgerError(thrown("55P03"), "x"))).toBe(true);
  expect(mayBeOneItem(asLedgerError(thrown("ECONNRESET"), "x"))).toBe(false);
  expect(mayBeOneItem(new Error("x"))).toBe(false);
});

test.for(['a"; drop table jobs; --', "", "Warren", "pg_catalog", "1st", "a".repeat(49), "a b"])(
  "%j is refused as a schema name, since it is written into statements",
  (schema) => {
    expect(() => parseSchemaName(schema)).toThrow(expect.objectContaining({ code: "LEDGER_SETTING_INVALID" }));
  },
);

test("table names are quoted and qualified", () => {
  expect(tablesOf("warren")("jobs")).toBe('"warren"."jobs"');
});
