#!/usr/bin/env node
import { existsSync } from "node:fs";
import { loadEnvFile } from "node:process";
import { runCommand } from "./program.ts";

/** Where `npm start` notes the URLs of the broker and the database it found or started. What is set already wins. */
const platformEnvironment = ".warren/env";

if (existsSync(platformEnvironment)) loadEnvFile(platformEnvironment);

process.exitCode = await runCommand({
  args: process.argv.slice(2),
  environment: process.env,
  isTerminal: process.stdout.isTTY,
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
});
