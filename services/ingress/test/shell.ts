import { runCommand } from "@warren/cli";
import type { RunningIngress } from "./fixture.ts";
import { apiKey } from "./management.ts";

/** What a shell would see of a command. */
export interface ShellAnswer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `warren` against the management API of a running ingress, with its key unless `environment` says otherwise. */
export async function openShell({ ingress }: Pick<RunningIngress, "ingress">) {
  const url = await ingress.api?.listen({ host: "127.0.0.1", port: 0 });
  return async (args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<ShellAnswer> => {
    let [stdout, stderr] = ["", ""];
    const exitCode = await runCommand({
      args,
      environment: { WARREN_API_URL: `${url}/api/v1`, WARREN_API_KEYS: apiKey, ...environment },
      isTerminal: false,
      stdout: (text) => {
        stdout += text;
      },
      stderr: (text) => {
        stderr += text;
      },
    });
    return { exitCode, stdout, stderr };
  };
}
