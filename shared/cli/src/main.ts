#!/usr/bin/env node
import { runCommand } from "./program.ts";

process.exitCode = await runCommand({
  args: process.argv.slice(2),
  environment: process.env,
  isTerminal: process.stdout.isTTY,
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
});
