import { loadSources } from "../../src/sources/load.ts";
import type { WebhookRequest } from "../../src/verify/verdict.ts";
import { senders } from "../fuzz/senders.ts";
import { signing } from "../signed.ts";

/**
 * What a verdict costs, a provider, as one JSON object on standard output: microseconds on an authentic request with a body of 2 KB and one
 * secret, the median and the least of many batches. `npm run bench -- ingress --only verify` runs it.
 */
const secondsEach = Number(process.argv[2] ?? 1);
const batchMs = 5;
const text = "The quick brown fox jumps over the lazy dog. ".repeat(44);

const onlyFirst = senders.map(({ name, settings, secrets }) => {
  return [name, secrets.length === 0 ? settings : { ...settings, secrets: secrets.slice(0, 1) }];
});
const sources = loadSources({ env: {}, sources: JSON.stringify(Object.fromEntries(onlyFirst)), readFile: () => "" });
// senders sign with their first secret at even moments
const nowMs = 2 * Math.floor(Date.now() / 2);
signing.atMs = nowMs;

function batchUs(verify: () => void, count: number): number {
  const beganAt = performance.now();
  for (let at = 0; at < count; at += 1) verify();
  return ((performance.now() - beganAt) * 1000) / count;
}

function rounded(value: number | undefined): number {
  return Math.round((value ?? 0) * 100) / 100;
}

const costs: Record<string, { readonly medianUs: number; readonly leastUs: number }> = {};
for (const sender of senders) {
  const source = sources.get(sender.name);
  if (source === undefined) throw new Error(`no source ${sender.name}`);
  const sent = sender.send(Buffer.from(sender.body("5d9d0f3c-0b52-4f0b-9b5a-0a1f6d8f7c11", text)));
  const request: WebhookRequest = {
    method: sent.method,
    url: `/webhooks/${sender.name}`,
    rawHeaders: ["Host", "hooks.example.com", "User-Agent", "bench", ...sent.headers.flat()],
    body: sent.body,
    clientAddress: "127.0.0.1",
    peerAddress: "127.0.0.1",
  };
  const verify = (): void => {
    const { kind } = source.verify(request, source.secrets, nowMs);
    if (kind !== "verified") throw new Error(`${sender.name}: ${kind}`);
  };
  // warms up, and tells how many make a batch
  const count = Math.max(1, Math.round((batchMs * 1000) / Math.min(batchUs(verify, 50), batchUs(verify, 200))));
  const until = performance.now() + secondsEach * 1000;
  const batches: number[] = [];
  while (batches.length < 5 || performance.now() < until) batches.push(batchUs(verify, count));
  batches.sort((a, b) => a - b);
  costs[sender.name] = { medianUs: rounded(batches[Math.floor(batches.length / 2)]), leastUs: rounded(batches[0]) };
}
process.stdout.write(`${JSON.stringify(costs)}\n`);
