import { randomBytes } from "node:crypto";
import { createKeyRing, type KeyRing } from "@warren/jobs";
import type { RunningIngress } from "./fixture.ts";

export const apiKey = "0123456789abcdef0123456789abcdef";

export function newKeyRing(current = "k1"): KeyRing {
  return createKeyRing({ current, keys: { [current]: randomBytes(32) } });
}

interface ManagementAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly text: string;
}

/** Calls the management API of a running ingress with its key. */
export async function manage(
  { ingress }: Pick<RunningIngress, "ingress">,
  method: "GET" | "POST" | "PATCH" | "DELETE",
  path: string,
  body?: object,
): Promise<ManagementAnswer> {
  if (ingress.api === undefined) throw new Error("this ingress has no management API: give it apiKeys");
  const answer = await ingress.api.inject({
    method,
    url: `/api/v1${path}`,
    headers: { authorization: `Bearer ${apiKey}` },
    ...(body === undefined ? {} : { payload: body }),
  });
  return { status: answer.statusCode, text: answer.body, body: answer.body === "" ? undefined : answer.json() };
}
