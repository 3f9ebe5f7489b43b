import { addressList } from "../address/address-list.ts";
import { member, parseJson, textMember } from "./json.ts";
import { judgeAddress } from "./sender.ts";
import { keyOf } from "./signature.ts";
import { rejected, type Verify } from "./verdict.ts";

/**
 * Where YooKassa sends from. Its SDKs list only four IPv6 /64 networks, its documentation the whole /32, which is right.
 * Source: https://yookassa.ru/developers/using-api/webhooks#ip
 */
export const yookassaAddresses = [
  "185.71.76.0/27",
  "185.71.77.0/27",
  "77.75.153.0/25",
  "77.75.156.11",
  "77.75.156.35",
  "77.75.154.128/25",
  "2a02:5180::/32",
] as const;

/**
 * YooKassa signs nothing: the sender's address is checked here, and the worker asks YooKassa's API whether the claim is true.
 * There is no event id either: an object reaches each status once.
 */
export function yookassaVerifier(addresses: readonly string[]): Verify {
  const allowed = addressList(addresses);
  return ({ clientAddress, body }) => {
    const stranger = judgeAddress(allowed, clientAddress);
    if (stranger !== undefined) return stranger;

    const parsed = parseJson(body);
    const event = textMember(parsed, "event");
    const object = member(parsed, "object");
    const id = textMember(object, "id");
    if (textMember(parsed, "type") !== "notification" || event === undefined || id === undefined) {
      return rejected("body_malformed");
    }
    const status = textMember(object, "status") ?? "";
    return {
      kind: "verified",
      dedupeKey: keyOf(`${event}:${id}:${status}`),
      eventId: undefined,
      eventType: event,
      parsed,
    };
  };
}
