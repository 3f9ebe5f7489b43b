export { type ExitCode, exitCodes } from "./exit.ts";
export { type CommandLine, runCommand } from "./program.ts";
