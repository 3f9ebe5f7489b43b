import { type ProviderErrorOptions, ProviderUnavailableError } from "@warren/resilience";
import type { NodemailerError } from "nodemailer";

/** What the server said about one message. */
export type MailOutcome =
  | { readonly kind: "accepted"; readonly providerId: string | undefined; readonly response: string }
  /** Refused for good: this recipient or this content. */
  | { readonly kind: "rejected"; readonly response: string }
  /** Put off: this message, not the server. */
  | { readonly kind: "deferred"; readonly response: string };

/** How far a message had come when its sending ended. */
export interface Handover {
  /** The last byte of the message was given to the connection: from here on the server may have accepted it. */
  complete: boolean;
}

/** What a failed sending means: the server's word about this message, or trouble with the server that concerns every message. */
export type SmtpFailure =
  | Extract<MailOutcome, { kind: "rejected" | "deferred" }>
  | { readonly kind: "trouble"; readonly error: ProviderUnavailableError };

/** Replies that ask for a login or for encryption, whatever the command was (RFC 4954 §6, RFC 3207 §4). */
const loginReplies = new Set([530, 534, 535, 538]);
const loginCodes = new Set(["EAUTH", "ENOAUTH", "EOAUTH2", "ECONFIG"]);
/** Too large for the server, said at MAIL FROM because of its SIZE parameter (RFC 1870 §6.1): about the message, not the sender. */
const messageTooLarge = 552;

/**
 * Reads nodemailer's error. Pure.
 * - A reply to RCPT TO or to the message is about this message: 5xx rejects it, 4xx puts it off (RFC 5321 §4.2.1); 421 closes the channel, 503 says that the session went wrong.
 * - A reply to anything before (greeting, login, sender) concerns every message: trouble.
 * - No reply: trouble; if the whole message had been handed over, its effect is unknown.
 */
export function classifySmtpFailure(
  error: NodemailerError,
  handover: Readonly<Handover>,
  facts: ProviderErrorOptions,
): SmtpFailure {
  const { code, command, responseCode } = error;
  const response = replyOf(error);
  const trouble = (message: string, effect: "none" | "unknown"): SmtpFailure => ({
    kind: "trouble",
    error: new ProviderUnavailableError(message, {
      ...facts,
      cause: error,
      effect,
      details: { ...facts.details, smtpError: code, ...(responseCode === undefined ? {} : { status: responseCode }) },
    }),
  });

  if (typeof responseCode === "number" && responseCode >= 400) {
    const aboutLogin = loginReplies.has(responseCode) || (code === "EAUTH" && responseCode >= 500);
    if (aboutLogin) {
      return trouble(`the server refused our login: correct SMTP_URL (${response})`, "none");
    }
    if (responseCode === 421 || responseCode === 503) {
      return trouble(`the server ended the session (${response})`, "none");
    }
    const aboutMessage = command === "RCPT TO" || command === "DATA" || responseCode === messageTooLarge;
    if (aboutMessage) {
      return { kind: responseCode >= 500 ? "rejected" : "deferred", response };
    }
    return command === "MAIL FROM" && responseCode >= 500
      ? trouble(`the server refused our sender address: correct WARREN_MAIL_FROM (${response})`, "none")
      : trouble(`the server answered ${response}`, "none");
  }
  if (code !== undefined && loginCodes.has(code)) {
    return trouble(`the login failed: correct SMTP_URL (${error.message})`, "none");
  }
  if (code === "EENVELOPE") {
    // nodemailer itself refuses the address: nothing was sent, and nothing will change
    return { kind: "rejected", response: error.message };
  }
  return trouble(error.message, handover.complete ? "unknown" : "none");
}

function replyOf(error: NodemailerError): string {
  return error.response ?? error.message;
}
