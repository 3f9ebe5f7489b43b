import { execFile } from "node:child_process";
import { createHmac, hash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";

const run = promisify(execFile);

const wrkResult = z.object({
  requests: z.number(),
  durationUs: z.number(),
  p50Us: z.number(),
  p90Us: z.number(),
  p99Us: z.number(),
  p999Us: z.number(),
  maxUs: z.number(),
  non2xx: z.number(),
  socketErrors: z.number(),
});
export type WrkResult = z.infer<typeof wrkResult>;

export interface WrkLoad {
  readonly url: string;
  readonly secret: string;
  /** Prefix of the delivery ids, so that two runs never share one. */
  readonly runId: string;
  readonly bodyBytes: number;
  readonly connections: number;
  readonly seconds: number;
}

/** Closed-loop load by wrk (Debian's package), one thread, signed GitHub webhooks with unique delivery ids. */
export async function runWrk(load: WrkLoad): Promise<WrkResult> {
  const body = githubBody(load.bodyBytes);
  const signature = `sha256=${createHmac("sha256", load.secret).update(body).digest("hex")}`;
  const script = fileURLToPath(new URL("github.lua", import.meta.url));
  const args = ["-t1", `-c${load.connections}`, `-d${load.seconds}s`, "--timeout", "10s", "-s", script, load.url];
  const { stdout } = await run("wrk", args, {
    env: { ...process.env, BENCH_RUN: load.runId, BENCH_BODY: body, BENCH_SIGNATURE: signature },
  }).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new Error("the ingress benchmark needs wrk: apt-get install wrk", { cause: error });
    }
    throw error;
  });
  const line = stdout.split("\n").findLast((text) => text.startsWith("{"));
  return wrkResult.parse(JSON.parse(line ?? "{}"));
}

/**
 * A push event of the given size in bytes, of the shape that GitHub documents, filled up in a commit message: with text that does not
 * repeat itself, because a database that compresses would hardly store anything of a long row of one letter.
 */
function githubBody(bytes: number): string {
  const missing = Math.max(0, bytes - Buffer.byteLength(pushEvent("")));
  let filling = "";
  for (let part = 0; filling.length < missing; part += 1) filling += hash("sha256", `part ${part}`, "base64url");
  return pushEvent(filling.slice(0, missing));
}

function pushEvent(message: string): string {
  return JSON.stringify({
    ref: "refs/heads/main",
    repository: { id: 186853002, full_name: "Codertocat/Hello-World" },
    pusher: { name: "Codertocat", email: "codertocat@example.com" },
    commits: [{ id: "6113728f27ae82c7b1a177c8d03f9e96e0adf246", message }],
  });
}
