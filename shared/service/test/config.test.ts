import { describe, expect, test } from "vitest";
import { z } from "zod";
import { amqpConfig, ledgerConfig, processConfig } from "../src/base-config.ts";
import { ConfigError, type Environment, readConfig } from "../src/index.ts";
import { misspellings } from "../src/misspellings.ts";

const own = z.object({
  SMTP_URL: z.url().describe("an SMTP URL, such as smtp://localhost:1025"),
  WARREN_LIMIT: z.coerce.number().int().min(1).default(5).describe("a whole number from 1"),
});

function read(environment: Environment, files: Record<string, string> = {}) {
  return readConfig([processConfig(8081), ledgerConfig, amqpConfig, own], environment, (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return text;
  });
}

function problemsOf(environment: Environment, files?: Record<string, string>) {
  try {
    read(environment, files);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("expected a ConfigError");
}

const good = {
  DATABASE_URL: "postgres://u:p@db/warren",
  AMQP_URL: "amqp://u:p@one/vhost, amqps://u:p@two/vhost",
  SMTP_URL: "smtp://localhost:1025",
};

describe("settings", () => {
  test("come from the environment, with defaults, numbers as numbers and several broker URLs", () => {
    const [own, ledger, amqp, service] = read({ ...good, WARREN_LIMIT: "7", LOG_LEVEL: "" });
    expect(own).toMatchObject({ PORT: 8081, HOST: "0.0.0.0", LOG_LEVEL: "info", WARREN_SHUTDOWN_TIMEOUT_MS: 20_000 });
    expect(ledger).toEqual({ DATABASE_URL: good.DATABASE_URL, WARREN_SCHEMA: "warren", WARREN_DATABASE_POOL: 8 });
    expect(amqp.AMQP_URL).toEqual(["amqp://u:p@one/vhost", "amqps://u:p@two/vhost"]);
    expect(service).toEqual({ SMTP_URL: good.SMTP_URL, WARREN_LIMIT: 7 });
  });

  test("may each lie in a file, one final newline aside", () => {
    const [, ledger] = read(
      { ...good, DATABASE_URL: undefined, DATABASE_URL_FILE: "/run/secrets/db" },
      { "/run/secrets/db": `${good.DATABASE_URL}\n` },
    );
    expect(ledger.DATABASE_URL).toBe(good.DATABASE_URL);
  });

  test("that are wrong are all named at once, with the way out and without their values", () => {
    const error = problemsOf({
      DATABASE_URL: "mysql://u:hunter2@db/warren",
      AMQP_URL_FILE: "/nowhere",
      PORT: "http",
      WARREN_LIMIT: "-3",
    });
    expect(error.problems.map((one) => `${one.variable} ${one.problem}`)).toEqual([
      "PORT is not valid",
      "DATABASE_URL is not valid",
      "AMQP_URL_FILE names a file that cannot be read (ENOENT)",
      "SMTP_URL is missing",
      "WARREN_LIMIT is not valid",
    ]);
    expect(error.message).toContain("DATABASE_URL is not valid: expected a Postgres URL, such as");
    expect(error.message).toContain("SMTP_URL is missing: set it (or SMTP_URL_FILE) to an SMTP URL");
    expect(JSON.stringify([error.problems, error.message, error.details])).not.toContain("hunter2");
  });

  test("that are set twice are refused rather than guessed at", () => {
    const error = problemsOf({ ...good, SMTP_URL_FILE: "/run/secrets/smtp" }, { "/run/secrets/smtp": "smtp://other" });
    expect(error.problems).toEqual([
      { variable: "SMTP_URL", problem: "is set twice, also as SMTP_URL_FILE", fix: "keep one of the two" },
    ]);
  });

  test("read from a file are blamed by the file's variable", () => {
    const error = problemsOf({ ...good, DATABASE_URL: "", DATABASE_URL_FILE: "/f" }, { "/f": "not a url" });
    expect(error.problems.map((one) => one.variable)).toEqual(["DATABASE_URL_FILE"]);
  });

  test.for(["amqp://", "http://broker", "amqp://one,nonsense", ","])("refuse %s as the broker's URL", (AMQP_URL) => {
    expect(problemsOf({ ...good, AMQP_URL }).problems.map((one) => one.variable)).toEqual(["AMQP_URL"]);
  });
});

test.for([
  { variable: "WARREN_SHUTDWON_TIMEOUT_MS", meant: "WARREN_SHUTDOWN_TIMEOUT_MS" },
  { variable: "WARREN_SCHEME", meant: "WARREN_SCHEMA" },
  { variable: "WARREN_SCHEMA_FIEL", meant: "WARREN_SCHEMA_FILE" },
  { variable: "WARREN_SOURCE_STRIPE", meant: undefined },
  { variable: "WARREN_SCHEMA_FILE", meant: undefined },
  { variable: "SCHEMA", meant: undefined },
])("$variable is taken for a misspelling of $meant", ({ variable, meant }) => {
  const known = ["WARREN_SHUTDOWN_TIMEOUT_MS", "WARREN_SCHEMA", "PORT"];
  expect(misspellings(known, { [variable]: "x" })).toEqual(meant === undefined ? [] : [{ variable, meant }]);
});
