import { verify } from "node:crypto";
import { headerOf, repeated } from "./header.ts";
import { member, parseJson, textMember } from "./json.ts";
import { timestampOf, verified } from "./signed.ts";
import {
  type Answer,
  answer,
  isCurrent,
  jsonAnswer,
  rejected,
  unavailable,
  type Verdict,
  type Verify,
} from "./verdict.ts";

/**
 * Discord's webhook events and HTTP interactions: Ed25519 over timestamp and body, under the application's public key. Both kinds of
 * PING are answered; Discord also sends forged ones, and takes the endpoint away unless they get 401. An interaction is acknowledged
 * as "deferred", so that a worker has 15 minutes to follow up with the interaction's token.
 * Source: https://docs.discord.com/developers/events/webhook-events and
 * https://docs.discord.com/developers/interactions/receiving-and-responding
 */
export function discordVerifier({ toleranceSeconds }: { readonly toleranceSeconds: number }): Verify {
  return ({ rawHeaders, body }, secrets, nowMs) => {
    const header = headerOf(rawHeaders, "x-signature-ed25519");
    if (header === undefined) return rejected("signature_missing");
    if (header === repeated) return rejected("header_repeated");
    // lower case only: another spelling of the same bytes is another signature
    if (!/^[0-9a-f]{128}$/.test(header)) return rejected("signature_malformed");
    const time = timestampOf(rawHeaders, "x-signature-timestamp", toleranceSeconds * 1000, nowMs);
    if (typeof time !== "string") return time;

    const current = secrets.filter((secret) => isCurrent(secret, nowMs));
    if (current.length === 0) return unavailable;
    const content = Buffer.concat([Buffer.from(time, "latin1"), body]);
    const signature = Buffer.from(header, "hex");
    if (!current.some(({ key }) => verify(null, content, key, signature))) return rejected("signature_mismatch");
    return describe(body);
  };
}

interface Interaction {
  readonly type: string;
  readonly answer: Answer;
}

const deferredMessage = jsonAnswer({ type: 5 });

const interactions = new Map<unknown, Interaction>([
  [2, { type: "APPLICATION_COMMAND", answer: deferredMessage }],
  [3, { type: "MESSAGE_COMPONENT", answer: jsonAnswer({ type: 6 }) }],
  [4, { type: "APPLICATION_COMMAND_AUTOCOMPLETE", answer: jsonAnswer({ type: 8, data: { choices: [] } }) }],
  [5, { type: "MODAL_SUBMIT", answer: deferredMessage }],
]);

/** A webhook event holds `event`, an interaction its own `id`; only their PINGs have neither or nothing else. */
function describe(body: Buffer): Verdict {
  const parsed = parseJson(body);
  const type = member(parsed, "type");
  const event = member(parsed, "event");
  if (type === 0) return { kind: "challenge", answer: answer(204), eventType: "PING" };
  if (type === 1 && event === undefined) {
    return { kind: "challenge", answer: jsonAnswer({ type: 1 }), eventType: "PING" };
  }
  if (type === 1)
    return verified(body, { id: undefined, type: textMember(event, "type"), parsed, answer: answer(204) });
  const interaction = interactions.get(type);
  if (interaction === undefined) return rejected("body_malformed");
  return verified(body, { id: textMember(parsed, "id"), parsed, ...interaction });
}
