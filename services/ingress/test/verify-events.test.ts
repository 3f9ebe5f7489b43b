import { describe, expect, test } from "vitest";
import { contentKey } from "../src/verify/signature.ts";
import { type Scheme, schemes } from "./schemes.ts";
import { judge, nowMs, sourceOf } from "./signed.ts";

function schemeOf(name: string): Scheme {
  const found = schemes.find((scheme) => scheme.name === name);
  if (found === undefined) throw new Error(`no scheme ${name}`);
  return found;
}

/** The verdict on what the provider signed. */
function judged(name: string, body: string, headers: Readonly<Record<string, string>> = {}) {
  const { settings, secrets, sign } = schemeOf(name);
  return judge(sourceOf({ ...settings, secrets }), { headers: { ...sign(body, 1), ...headers }, body });
}

const empty = { kind: "answer", status: 200, contentType: undefined, body: "" };
const json = (value: unknown) => ({
  kind: "answer",
  status: 200,
  contentType: "application/json",
  body: JSON.stringify(value),
});

/** Bodies and headers as the providers' pages show them, shortened. */
const events: readonly {
  readonly name: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly id: string | undefined;
  readonly type: string | undefined;
}[] = [
  {
    name: "bitbucket",
    body: { push: { changes: [] } },
    headers: { "X-Request-UUID": "b5d6a2a4", "X-Event-Key": "repo:push" },
    id: "b5d6a2a4",
    type: "repo:push",
  },
  {
    name: "bitbucket",
    body: { eventKey: "repo:refs_changed" },
    headers: { "X-Request-Id": "dc-1", "X-Event-Key": "repo:refs_changed" },
    id: "dc-1",
    type: "repo:refs_changed",
  },
  { name: "bitbucket", body: { test: true }, id: undefined, type: undefined },
  {
    name: "jira",
    body: { timestamp: 1_525_698_237_764, webhookEvent: "jira:issue_updated" },
    headers: { "X-Atlassian-Webhook-Identifier": "flow-1" },
    id: "flow-1",
    type: "jira:issue_updated",
  },
  {
    name: "shopify",
    body: { id: 820_982_911_946_154_500 },
    headers: {
      "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
      "X-Shopify-Event-Id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
      "X-Shopify-Topic": "orders/create",
    },
    id: "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    type: "orders/create",
  },
  {
    name: "slack",
    body: { type: "event_callback", event_id: "Ev08MFMKH6", event: { type: "app_mention" } },
    id: "Ev08MFMKH6",
    type: "app_mention",
  },
  {
    name: "slack",
    body: { type: "app_rate_limited", minute_rate_limited: 1 },
    id: undefined,
    type: "app_rate_limited",
  },
  {
    name: "gitlab with a token",
    body: { object_kind: "push" },
    headers: { "Idempotency-Key": "f5e5f430", "X-Gitlab-Event": "Push Hook" },
    id: "f5e5f430",
    type: "push",
  },
  {
    name: "gitlab with a token",
    body: { event_name: "project_create" },
    headers: { "X-Gitlab-Event": "System Hook" },
    id: undefined,
    type: "project_create",
  },
  {
    name: "gitlab with a token",
    body: { made: "by a template" },
    headers: { "X-Gitlab-Event": "Push Hook" },
    id: undefined,
    type: "Push Hook",
  },
  {
    name: "gitlab with a signing token",
    body: { object_kind: "merge_request" },
    headers: { "X-Gitlab-Event": "Push Hook" },
    id: "d5c7a3f0-8c2e-4a62-9d2b-2f6a1f6f1c2e",
    type: "merge_request",
  },
  { name: "telegram", body: { update_id: 10_000, message: { text: "hi" } }, id: "10000", type: "message" },
  { name: "telegram", body: { callback_query: { id: "1" }, update_id: 7 }, id: "7", type: "callback_query" },
  { name: "telegram", body: [], id: undefined, type: undefined },
  { name: "telegram", body: { update_id: "no number", message: {} }, id: undefined, type: undefined },
  {
    name: "discord",
    body: { version: 1, application_id: "1", type: 1, event: { type: "APPLICATION_AUTHORIZED" } },
    id: undefined,
    type: "APPLICATION_AUTHORIZED",
  },
  {
    name: "linear",
    body: { action: "create", type: "Comment", webhookTimestamp: nowMs - 60_000 },
    headers: { "Linear-Delivery": "234d1a4e" },
    id: "234d1a4e",
    type: "Comment.create",
  },
  {
    name: "linear",
    body: { type: "PermissionChange", webhookTimestamp: nowMs },
    id: undefined,
    type: "PermissionChange",
  },
  { name: "zoom", body: { event: "meeting.started", event_ts: 1 }, id: undefined, type: "meeting.started" },
  {
    name: "paddle",
    body: { event_id: "evt_01hv8x2a", event_type: "transaction.completed", notification_id: "ntf_1" },
    id: "evt_01hv8x2a",
    type: "transaction.completed",
  },
  {
    name: "intercom",
    body: { type: "notification_event", id: "notif_1", topic: "conversation.user.created" },
    id: "notif_1",
    type: "conversation.user.created",
  },
  { name: "intercom", body: { type: "notification_event", id: null, topic: "ping" }, id: undefined, type: "ping" },
  { name: "calendly", body: { event: "invitee.created", payload: {} }, id: undefined, type: "invitee.created" },
  { name: "clerk", body: { type: "user.created", data: {} }, id: "msg_1", type: "user.created" },
  { name: "resend", body: { type: "email.sent", data: {} }, id: "msg_1", type: "email.sent" },
  { name: "svix", body: { anything: 1 }, id: "msg_1", type: undefined },
];

describe("an authentic event", () => {
  test.for(events)("of $name is known by id $id and type $type", ({ name, body, headers, id, type }) => {
    const text = JSON.stringify(body);
    expect(judged(name, text, headers)).toMatchObject({
      kind: "verified",
      eventId: id,
      eventType: type,
      dedupeKey: id ?? contentKey(Buffer.from(text)),
    });
  });

  test.for([
    { name: "slack", header: "X-Slack-Retry-Num" },
    { name: "jira", header: "X-Atlassian-Webhook-Retry" },
    { name: "bitbucket", header: "X-Attempt-Number" },
  ])("of $name has the same key when it is sent again", ({ name, header }) => {
    const first = judged(name, '{"a":1}', { [header]: "1" });
    expect(first.kind).toBe("verified");
    expect(judged(name, '{"a":1}', { [header]: "2" })).toEqual(first);
  });

  test.for(["bitbucket", "shopify", "jira", "linear"])("of %s with an endless id has a key that fits", (name) => {
    const long = "x".repeat(5_000);
    const headers = {
      "X-Request-UUID": long,
      "X-Shopify-Webhook-Id": long,
      "X-Atlassian-Webhook-Identifier": long,
      "Linear-Delivery": long,
    };
    const verdict = judged(name, JSON.stringify({ webhookTimestamp: nowMs }), headers);
    expect(verdict).toMatchObject({
      kind: "verified",
      dedupeKey: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
    });
  });
});

describe("what Slack posts as a form", () => {
  test("is an interaction, whose JSON is its payload, answered with nothing", () => {
    const payload = { type: "block_actions", trigger_id: "1", actions: [{ action_id: "ok" }] };
    const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
    expect(judged("slack", body)).toMatchObject({
      kind: "verified",
      eventType: "block_actions",
      parsed: payload,
      dedupeKey: contentKey(Buffer.from(body)),
      answer: empty,
    });
  });

  test("is a command with its fields, answered with nothing", () => {
    expect(judged("slack", "command=%2Fweather&text=94070&trigger_id=1")).toMatchObject({
      kind: "verified",
      eventType: "slash_command",
      parsed: { command: "/weather", text: "94070", trigger_id: "1" },
      answer: empty,
    });
  });
});

describe("an interaction of Discord is acknowledged in Discord's words", () => {
  test.for([
    { type: 2, name: "APPLICATION_COMMAND", answer: { type: 5 } },
    { type: 3, name: "MESSAGE_COMPONENT", answer: { type: 6 } },
    { type: 4, name: "APPLICATION_COMMAND_AUTOCOMPLETE", answer: { type: 8, data: { choices: [] } } },
    { type: 5, name: "MODAL_SUBMIT", answer: { type: 5 } },
  ])("$name", ({ type, name, answer }) => {
    expect(judged("discord", JSON.stringify({ id: "8675309", type, token: "t", version: 1 }))).toMatchObject({
      kind: "verified",
      dedupeKey: "8675309",
      eventType: name,
      answer: json(answer),
    });
  });

  test("an event with nothing, 204", () => {
    expect(judged("discord", '{"type":1,"event":{"type":"ENTITLEMENT_CREATE"}}')).toMatchObject({
      kind: "verified",
      answer: { status: 204, contentType: undefined },
    });
  });
});

const questions = [
  {
    name: "slack",
    body: '{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}',
    answer: json({ challenge: "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" }),
    eventType: "url_verification",
  },
  { name: "slack", body: "token=x&ssl_check=1", answer: empty, eventType: "ssl_check" },
  {
    name: "discord",
    body: '{"version":1,"application_id":"1","type":0}',
    answer: { ...empty, status: 204 },
    eventType: "PING",
  },
  {
    name: "discord",
    body: '{"id":"1","type":1,"token":"t","version":1}',
    answer: json({ type: 1 }),
    eventType: "PING",
  },
];

describe("a challenge", () => {
  test.for(questions)(
    "of $name ($eventType) is answered and is no event: $body",
    ({ name, body, answer, eventType }) => {
      expect(judged(name, body)).toEqual({ kind: "challenge", answer, eventType });
    },
  );

  test.for(questions)(
    "of $name ($eventType) that is not signed is refused like any forgery: $body",
    ({ name, body }) => {
      const { settings, secrets, sign } = schemeOf(name);
      const source = sourceOf({ ...settings, secrets });
      expect(judge(source, { headers: {}, body }).kind).toBe("rejected");
      expect(judge(source, { headers: sign(`${body} `, 0), body })).toEqual({
        kind: "rejected",
        cause: "signature_mismatch",
      });
    },
  );

  test("of Zoom without a token is malformed", () => {
    expect(judged("zoom", '{"event":"endpoint.url_validation","payload":{}}')).toEqual({
      kind: "rejected",
      cause: "body_malformed",
    });
  });
});
