import { z } from "zod";
import { addressList } from "../address/address-list.ts";
import { judgeBasic } from "./credentials.ts";
import { member, parseJson, textMember } from "./json.ts";
import { addressesOption } from "./options.ts";
import { judgeAddress } from "./sender.ts";
import { keyOf } from "./signature.ts";
import { verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

export const postmarkOptions = z.strictObject({
  /** Addresses that webhooks must come from, besides. Postmark lists its own at https://postmarkapp.com/support/article/800. */
  addresses: addressesOption.optional(),
});

/** What tells two events of the same kind and message apart: opens and clicks come several times. */
const distinguishing = [
  "ID",
  "Recipient",
  "Email",
  "OriginalLink",
  "ReceivedAt",
  "DeliveredAt",
  "BouncedAt",
  "ChangedAt",
];

/**
 * Postmark signs nothing: it sends the Basic credentials that stand in the webhook's address, and comes from known addresses.
 * There is no event id: kind, message and time make one. Source: https://postmarkapp.com/developer/webhooks/webhooks-overview
 */
export function postmarkVerifier({ addresses }: z.infer<typeof postmarkOptions>): Verify {
  const allowed = addresses === undefined ? undefined : addressList(addresses);
  return (request, secrets, nowMs) => {
    const stranger = allowed === undefined ? undefined : judgeAddress(allowed, request.clientAddress);
    const refusal = stranger ?? judgeBasic(request, secrets, nowMs);
    if (refusal !== undefined) return refusal;

    const parsed = parseJson(request.body);
    const message = textMember(parsed, "MessageID");
    const type = textMember(parsed, "RecordType");
    // a change of subscription by hand belongs to no message
    if (message === undefined && type === undefined)
      return verified(request.body, { id: undefined, type: undefined, parsed });
    const parts = distinguishing.map((name) => member(parsed, name));
    const key = [
      type ?? "Inbound",
      message ?? "",
      ...parts.filter((part) => typeof part === "string" || typeof part === "number"),
    ];
    return {
      kind: "verified",
      dedupeKey: keyOf(key.join(":")),
      eventId: undefined,
      eventType: type ?? "Inbound",
      parsed,
    };
  };
}
