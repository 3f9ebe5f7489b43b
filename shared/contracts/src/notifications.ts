import { z } from "zod";
import { currentTemplateVersion, type TemplateData, type TemplateName } from "./templates.ts";

/** One mailbox, as `local@domain`: no display name, no list, no line break, so that it can never become a second recipient or header. */
export const emailAddress = z
  .string()
  .max(254)
  .regex(
    /^[^\s@<>()[\]\\,;:"\p{Cc}]{1,64}@[^\s@<>()[\]\\,;:"\p{Cc}]+$/u,
    "expected one address such as anna@example.com",
  );

/** Whom a message is for. */
export const recipient = z.object({
  /** The user's id in the caller's system. */
  id: z.string().min(1).max(200),
  email: emailAddress,
  /** BCP 47. A language without texts falls back to English. Default `en`. */
  locale: z.string().min(2).max(35).default("en"),
  name: z.string().max(200).optional(),
});

/** Payload of the job `notifications.send-template`. The data is checked by the template version's own schema when it is rendered. */
export const sendTemplatePayload = z.object({
  user: recipient,
  template: z.string().min(1).max(100),
  /** Default: the version that is current when the message is rendered. `sendTemplate` pins the one current at enqueue. */
  templateVersion: z.int().positive().optional(),
  data: z.record(z.string(), z.unknown()),
});

/** Result of the job `notifications.send-template`. */
export const sendTemplateResult = z.object({
  channel: z.literal("email"),
  /** `accepted_before`: an earlier attempt had sent it; `given_up`: nobody knows, and the channel's policy is not to ask or resend. */
  outcome: z.enum(["accepted", "accepted_before", "given_up"]),
  /** The `Message-ID` header of the mail. */
  messageId: z.string(),
});

export type Recipient = z.input<typeof recipient>;
export type SendTemplatePayload = z.input<typeof sendTemplatePayload>;
export type SendTemplateResult = z.infer<typeof sendTemplateResult>;

/** Builds the payload of a message, typed by its template, and pins the template version that is current now. */
export function sendTemplate<Name extends TemplateName>(
  user: Recipient,
  template: Name,
  data: TemplateData<Name> & Readonly<Record<string, unknown>>,
): SendTemplatePayload {
  return { user, template, templateVersion: currentTemplateVersion[template], data };
}

/** Name, queue and shapes of the job: what its producers and its consumer share. */
export const sendTemplateJob = {
  name: "notifications.send-template",
  queue: "notifications",
  version: 1,
  payload: sendTemplatePayload,
  result: sendTemplateResult,
  /** The breaker that holds these jobs while it is open. */
  breakers: ["smtp:send"],
} as const;
