import { createWorld } from "@warren/testing";
import { expect, test } from "vitest";
import { jobsOf, prepare, requestsOf, startIngress } from "./fixture.ts";
import { ed25519Hex, ed25519Keys } from "./schemes.ts";
import { hmacHex } from "./signed.ts";

const seconds = () => String(Math.floor(Date.now() / 1000));

function slackHeaders(body: string): Record<string, string> {
  const at = seconds();
  return { "x-slack-request-timestamp": at, "x-slack-signature": `v0=${hmacHex("s3cret", `v0:${at}:${body}`)}` };
}

function discordHeaders(body: string): Record<string, string> {
  const at = seconds();
  return { "x-signature-timestamp": at, "x-signature-ed25519": ed25519Hex(0, at + body) };
}

const sources = {
  slack: { provider: "slack", secrets: ["s3cret"] },
  discord: { provider: "discord", secrets: [ed25519Keys[0][1]] },
  telegram: { provider: "telegram", secrets: ["s3cret"] },
  zoom: { provider: "zoom", secrets: ["s3cret"] },
};

test("challenges are answered in the provider's words, kept whole, and make no job", async () => {
  await using world = await createWorld();
  await prepare(world);
  await using running = await startIngress(world, { sources });
  const send = async (source: string, headers: Record<string, string>, body: string) => {
    const json = { "content-type": "application/json" };
    const response = await fetch(`${running.url}/webhooks/${source}`, {
      method: "POST",
      headers: { ...json, ...headers },
      body,
    });
    return [response.status, response.headers.get("content-type"), await response.text()];
  };

  const question = '{"type":"url_verification","challenge":"c-1"}';
  expect(await send("slack", slackHeaders(question), question)).toEqual([
    200,
    "application/json",
    '{"challenge":"c-1"}',
  ]);
  expect(await send("discord", discordHeaders('{"type":0}'), '{"type":0}')).toEqual([204, null, ""]);
  expect(await send("discord", discordHeaders('{"type":1}'), '{"type":1}')).toEqual([
    200,
    "application/json",
    '{"type":1}',
  ]);
  const [status] = await send("slack", slackHeaders(`${question} `), question);
  expect(status).toBe(401);

  await running.ingress.drain();
  expect(await requestsOf(running)).toMatchObject([
    {
      source: "slack",
      status: "answered",
      event_type: "url_verification",
      dedupe_key: null,
      cause: null,
      job_ids: [],
      body: Buffer.from(question),
    },
    { source: "discord", status: "answered", event_type: "PING" },
    { source: "discord", status: "answered", event_type: "PING" },
    { source: "slack", status: "rejected", cause: "signature_mismatch" },
  ]);
  expect(await jobsOf(running)).toEqual([]);
  expect(
    await running.metrics.value("warren_webhook_requests_total", { source: "discord", outcome: "challenge" }),
  ).toBe(2);
});

test("events are answered as their provider wants it, and become jobs", async () => {
  await using world = await createWorld();
  await prepare(world);
  await using running = await startIngress(world, { sources });
  const send = async (source: string, headers: Record<string, string>, body: string) => {
    const response = await fetch(`${running.url}/webhooks/${source}`, { method: "POST", headers, body });
    return [response.status, await response.text()];
  };
  const json = { "content-type": "application/json" };
  const form = { "content-type": "application/x-www-form-urlencoded" };

  const update = '{"update_id":1,"message":{}}';
  const telegram = { ...json, "x-telegram-bot-api-secret-token": "s3cret" };
  expect(await send("telegram", telegram, update)).toEqual([200, ""]);
  expect(await send("telegram", telegram, update)).toEqual([200, ""]);
  const command = "command=%2Fweather&text=94070";
  expect(await send("slack", { ...form, ...slackHeaders(command) }, command)).toEqual([200, ""]);
  const interaction = '{"id":"1","type":2}';
  expect(await send("discord", { ...json, ...discordHeaders(interaction) }, interaction)).toEqual([200, '{"type":5}']);

  expect(await requestsOf(running)).toMatchObject([
    { source: "telegram", status: "accepted" },
    { source: "telegram", status: "duplicate" },
    { source: "slack", status: "accepted", event_type: "slash_command" },
    { source: "discord", status: "accepted", event_id: "1" },
  ]);
  expect(await jobsOf(running)).toHaveLength(3);
});
