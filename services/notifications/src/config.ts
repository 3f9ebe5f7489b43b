import { emailAddress } from "@warren/contracts";
import { z } from "zod";

const count = (least: number, most: number) => z.coerce.number().int().min(least).max(most);
const milliseconds = (most = 600_000) => count(1, most);

/** `no-reply@example.com` or `Shop <no-reply@example.com>`. */
const sender = z.string().transform((text, context) => {
  const [, name = "", inner] = /^(.*?)\s*<([^<>]+)>$/.exec(text.trim()) ?? [];
  const address = emailAddress.safeParse(inner ?? text.trim());
  if (!address.success || /[\p{Cc}"]/u.test(name)) {
    context.addIssue({ code: "custom", message: "not a sender" });
    return z.NEVER;
  }
  return { name, address: address.data };
});

const timeZone = z.string().refine((zone) => {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
});

const smtpUrl = z
  .string()
  .refine(
    (text) =>
      URL.canParse(text) && ["smtp:", "smtps:"].includes(new URL(text).protocol) && new URL(text).hostname !== "",
  );

/** Settings of the notifications service. */
export const notificationsConfig = z.object({
  SMTP_URL: smtpUrl.describe("an SMTP URL, such as smtp://user:password@mail.example.com:587 or smtps://…:465"),
  WARREN_SMTP_TLS: z
    .enum(["required", "opportunistic", "off"])
    .default("opportunistic")
    .describe(
      "required, opportunistic or off: whether STARTTLS must, may or must not be used (smtps:// is always encrypted)",
    ),
  WARREN_SMTP_CONNECTIONS: count(1, 100).default(10).describe("how many connections to the mail server, 1 to 100"),
  WARREN_SMTP_MAX_MESSAGES: count(1, 1_000_000)
    .default(1_000)
    .describe("after how many mails a connection is replaced, 1 to 1000000"),
  WARREN_SMTP_CONNECT_TIMEOUT_MS: milliseconds().default(5_000).describe("milliseconds for connecting, 1 to 600000"),
  WARREN_SMTP_TIMEOUT_MS: milliseconds(50_000)
    .default(30_000)
    .describe("milliseconds for sending one mail, 1 to 50000"),
  WARREN_SMTP_BREAKER_FAILURES: count(1, 1_000)
    .default(5)
    .describe("after how many failures in a row the breaker opens"),
  WARREN_SMTP_BREAKER_OPEN_MS: milliseconds()
    .default(5_000)
    .describe("milliseconds before an open breaker lets one mail try"),
  WARREN_SMTP_BREAKER_MAX_OPEN_MS: milliseconds()
    .default(60_000)
    .describe("the longest such wait, after repeated failures"),
  WARREN_MAIL_FROM: sender
    .prefault("Warren <no-reply@localhost>")
    .describe("the sender, such as Shop <no-reply@example.com>"),
  WARREN_MAIL_CONCURRENCY: count(1, 1_000).default(32).describe("how many mails are worked on at once, 1 to 1000"),
  WARREN_MAIL_PREFETCH: count(1, 10_000).default(64).describe("how many messages may wait in this process, 1 to 10000"),
  WARREN_MAIL_UNKNOWN: z
    .enum(["resend", "hold", "give_up"])
    .default("resend")
    .describe("resend, hold or give_up: what to do when nobody knows whether a mail was delivered"),
  WARREN_RECIPIENT_HASH_KEY: z
    .string()
    .min(8)
    .default("warren-recipient")
    .describe("a secret of at least 8 characters that keys the hashes of addresses in the deliveries ledger"),
  WARREN_TIME_ZONE: timeZone.default("UTC").describe("the IANA time zone of dates in mails, such as Europe/Moscow"),
});
