import { describe, expect, test } from "vitest";
import type { ProviderName } from "../src/sources/providers.ts";
import { subjectOf } from "../src/sources/subjects.ts";
import { eventDescriber } from "../src/verify/event-values.ts";
import type { WebhookRequest } from "../src/verify/verdict.ts";

function request(rawHeaders: readonly string[] = [], body = ""): WebhookRequest {
  return {
    method: "POST",
    url: "/",
    rawHeaders,
    body: Buffer.from(body),
    clientAddress: undefined,
    peerAddress: undefined,
  };
}

const cases: readonly { readonly provider: ProviderName; readonly parsed: unknown; readonly subject: unknown }[] = [
  { provider: "stripe", parsed: { id: "evt_1", data: { object: { id: "pi_1" } } }, subject: "pi_1" },
  { provider: "yookassa", parsed: { object: { id: "22d6" } }, subject: "22d6" },
  { provider: "gitlab", parsed: { project: { path_with_namespace: "a/b" } }, subject: "a/b" },
  { provider: "gitlab", parsed: { project_id: 15 }, subject: "15" },
  { provider: "jira", parsed: { issue: { key: "WAR-4" } }, subject: "WAR-4" },
  { provider: "stripe", parsed: { id: "evt_1", data: { object: { id: "" } } }, subject: undefined },
  { provider: "stripe", parsed: { id: "evt_1", data: { object: { id: { not: "text" } } } }, subject: undefined },
  { provider: "stripe", parsed: undefined, subject: undefined },
  { provider: "slack", parsed: { event: { channel: "C1" } }, subject: undefined },
];

describe("the subject of an event", () => {
  test.for(cases)("of $provider with $parsed is $subject", ({ provider, parsed, subject }) => {
    expect(subjectOf(provider, request(), parsed)).toBe(subject);
  });

  test("of GitHub stands in its headers, so that its body is not parsed", () => {
    const headers = ["X-GitHub-Hook-Installation-Target-ID", "79929171", "X-GitHub-Hook-Installation-Target-Type"];
    expect(subjectOf("github", request([...headers, "repository"]), undefined)).toBe("repository/79929171");
    expect(subjectOf("github", request(headers.slice(0, 2)), undefined)).toBeUndefined();
  });

  test("of a source of one's own stands where its options say, in the body or in a header", () => {
    const body = JSON.stringify({ order: { number: 17 } });
    const fromBody = eventDescriber({ eventSubject: { json: "/order/number" } });
    expect(fromBody(request([], body))).toMatchObject({ eventSubject: "17", parsed: { order: { number: 17 } } });
    const fromHeader = eventDescriber({ eventSubject: { header: "X-Order" } });
    expect(fromHeader(request(["x-order", "18"], body))).toMatchObject({ eventSubject: "18", parsed: undefined });
  });
});
