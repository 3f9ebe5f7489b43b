import { createHmac, randomUUID } from "node:crypto";
import { Agent, request } from "undici";
import { githubSecret } from "./platform.ts";

export interface Webhook {
  readonly deliveryId: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A signed GitHub webhook with a delivery id of its own. */
export function githubWebhook(number: number): Webhook {
  const body = JSON.stringify({
    zen: "Keep it logically awesome.",
    hook_id: number,
    repository: { full_name: "e2e/repo" },
  });
  const deliveryId = randomUUID();
  return {
    deliveryId,
    body,
    headers: {
      "content-type": "application/json",
      "x-github-event": "ping",
      "x-github-delivery": deliveryId,
      "x-hub-signature-256": `sha256=${createHmac("sha256", githubSecret).update(body).digest("hex")}`,
    },
  };
}

const agent = new Agent({ connections: 32, headersTimeout: 15_000 });

/** Sends it; answers the status, or `undefined` when no answer came. */
export async function send(url: string, webhook: Webhook): Promise<number | undefined> {
  try {
    const answer = await request(`${url}/webhooks/github`, {
      method: "POST",
      headers: webhook.headers,
      body: webhook.body,
      dispatcher: agent,
    });
    await answer.body.dump();
    return answer.statusCode;
  } catch {
    return undefined;
  }
}

/** Runs `work` for each item, `parallel` at a time. */
export async function each<T>(items: readonly T[], parallel: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const lane = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}
