import type { Rule, RuleTestAnswer } from "@warren/contracts";
import { expect } from "vitest";
import { post, type RunningIngress, requestsOf } from "./fixture.ts";
import { hmacHex } from "./signed.ts";

const key = "0123456789abcdef0123456789";
export const endpoint = "0199c5c4-6a00-7000-8000-00000000000e";
const sources = {
  shop: { provider: "hmac", secrets: ["s3cret"], options: { header: "x-sig", eventType: { json: "/type" } } },
};
export const settings = { sources, notify: undefined, apiKeys: [key] };

export async function api(
  { ingress }: RunningIngress,
  method: "GET" | "POST" | "PATCH" | "DELETE",
  path: string,
  payload?: object,
) {
  const answer = await ingress.api?.inject({
    method,
    url: `/api/v1${path}`,
    headers: { authorization: `Bearer ${key}` },
    ...(payload === undefined ? {} : { payload }),
  });
  const body: unknown = answer?.body === "" ? undefined : answer?.json();
  return { status: answer?.statusCode, body: body as Record<string, unknown> };
}

export async function create(running: RunningIngress, rule: object): Promise<Rule> {
  const { status, body } = await api(running, "POST", "/rules", rule);
  expect(body).toMatchObject({ revision: 1 });
  expect(status).toBe(201);
  return body as unknown as Rule;
}

export async function send(running: RunningIngress, payload: object | string): Promise<string> {
  const body = typeof payload === "string" ? payload : JSON.stringify(payload);
  const headers = { "content-type": "application/json", "x-sig": hmacHex("s3cret", body) };
  const answer = await post(running, "shop", headers, body);
  expect([answer.status, answer.body["status"]]).toEqual([202, "accepted"]);
  return String(answer.body["requestId"]);
}

export async function rowOf(running: RunningIngress, id: string) {
  return (await requestsOf(running)).find((row) => row["id"] === id) ?? {};
}

/** How many rules an ingress would ask about an event of the shop. */
export async function known(running: RunningIngress): Promise<number> {
  const { body } = await api(running, "POST", "/rules/test", { event: { source: "shop", body: {} } });
  return (body as unknown as RuleTestAnswer).results.length;
}

export const toJob = (name: string, more: object = {}) => ({
  name,
  source: "shop",
  to: { kind: "job", job: `shop.${name}`, queue: "orders" },
  ...more,
});
