import { expect, test } from "vitest";
import { type Shell, shell } from "./shell.ts";

const run = (environment: Shell["environment"], isTerminal: boolean, ...args: readonly string[]) =>
  shell({ environment, isTerminal }, args);

test.for([
  { what: "an unknown command", args: ["topologie"], says: "unknown command" },
  { what: "one with --help", args: ["topologie", "--help"], says: "Did you mean topology?" },
  { what: "an unknown part of a command with --help", args: ["job", "-o", "json", "shwo", "-h"], says: "mean show?" },
  { what: "help on an unknown command", args: ["help", "limts"], says: "Did you mean limits?" },
  { what: "help on an unknown part", args: ["job", "help", "shwo"], says: "Did you mean show?" },
  { what: "an unknown part where there is a default", args: ["migrate", "stauts"], says: "Did you mean status?" },
  { what: "an unknown option", args: ["migrate", "--fast"], says: "unknown option" },
  { what: "a missing argument", args: ["job", "show"], says: "missing required argument" },
  { what: "an id that is none", args: ["job", "show", "nope"], says: "Expected an id such as" },
  { what: "an operation's id that is none", args: ["bulk", "pause", "nope"], says: "Expected an id such as" },
  { what: "an unknown format", args: ["-o", "xml", "migrate"], says: "Allowed choices are table, json" },
])("$what is a usage error that says so", async ({ args, says }) => {
  const result = await run({}, false, ...args);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain(says);
});

test("a missing variable names itself and the fix, without a stack", async () => {
  const result = await run({}, false, "topology", "plan", "-q", "a");
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toMatch(/^error CONFIG_INVALID: AMQP_URL is missing: .*\nfix: .*\n$/);
});

test("a broker that is not there is unhealthy, named without its password", async () => {
  const result = await run({ AMQP_URL: "amqp://user:secret@127.0.0.1:1" }, false, "topology", "plan", "-q", "a");
  expect(result.exitCode).toBe(3);
  expect(result.stderr).toContain("no connection to the broker at 127.0.0.1:1: connect ECONNREFUSED");
  expect(result.stderr).not.toContain("secret");
});

test.for([
  ["--help"],
  ["help"],
  ["topology", "--help"],
  ["-o", "json", "help", "topology"],
  ["topology", "help", "plan"],
])("help is no error: %s", async (args) => {
  const result = await run({}, true, ...args);
  expect([result.exitCode, result.stderr]).toEqual([0, ""]);
  expect(result.stdout).toContain("topology");
});
