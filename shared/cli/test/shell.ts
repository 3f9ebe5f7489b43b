import type { World } from "@warren/testing";
import { runCommand } from "../src/index.ts";

export interface Shell {
  readonly environment: Readonly<Record<string, string>>;
  /** Default `false`. */
  readonly isTerminal?: boolean;
}

/** Runs a command and answers what the shell would see. */
export async function shell({ environment, isTerminal = false }: Shell, args: readonly string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const exitCode = await runCommand({
    args,
    environment,
    isTerminal,
    stdout: (text) => void out.push(text),
    stderr: (text) => void err.push(text),
  });
  return { exitCode, stdout: out.join(""), stderr: err.join("") };
}

/** Of a world, its database only. */
export const databaseOf = ({ databaseUrl, schema }: World) => ({ DATABASE_URL: databaseUrl, WARREN_SCHEMA: schema });
