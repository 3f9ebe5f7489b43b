import { headerOf, repeated } from "./header.ts";
import { member, parseJson } from "./json.ts";
import { matchToken } from "./signature.ts";
import { refusalOf, verified } from "./signed.ts";
import { rejected, type Verify } from "./verdict.ts";

/**
 * Telegram's Bot API: the `secret_token` given to `setWebhook` comes back as it is. The body is not signed: whoever learns the token
 * can write updates. An update holds `update_id` and one field that names what happened.
 * Source: https://core.telegram.org/bots/api#setwebhook
 */
export const verifyTelegram: Verify = ({ rawHeaders, body }, secrets, nowMs) => {
  const token = headerOf(rawHeaders, "x-telegram-bot-api-secret-token");
  if (token === undefined) return rejected("signature_missing");
  if (token === repeated) return rejected("header_repeated");
  const refusal = refusalOf(matchToken(token, secrets, nowMs));
  if (refusal !== undefined) return refusal;

  const parsed = parseJson(body);
  const id = member(parsed, "update_id");
  const isUpdate = typeof id === "number" && typeof parsed === "object" && parsed !== null;
  const type = isUpdate ? Object.keys(parsed).find((name) => name !== "update_id") : undefined;
  return verified(body, { id: isUpdate ? String(id) : undefined, type, parsed });
};
