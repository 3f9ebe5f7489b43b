import { z } from "zod";
import { money } from "./money.ts";

const line = z.string().min(1).max(500);
const moment = z.iso.datetime({ offset: true });
const webLink = z.url({ protocol: /^https?$/ }).max(2_000);

/**
 * Every message template, its versions, and the data each version takes. A version is never changed once it was released:
 * a message enqueued today must render the same after a deploy. `services/notifications/templates` holds the texts.
 */
export const templateCatalogue = {
  "webhook-received": {
    1: z.object({
      /** The source as in `POST /webhooks/:source`. */
      source: line,
      /** The provider's name of the event, for example `push` or `charge.refunded`. */
      event: line,
      /** Warren's id of the stored request. */
      requestId: z.uuid(),
      receivedAt: moment,
      /** The provider's own id of the event, where it has one. */
      eventId: line.optional(),
      /** One line for people: repository, customer, amount. */
      summary: line.optional(),
    }),
  },
  "payment-succeeded": {
    1: z.object({
      /** Who took the money: `stripe`, `yookassa`. */
      provider: line,
      paymentId: line,
      amount: money,
      paidAt: moment,
      description: line.optional(),
      /** Made with test keys: no money moved, and the receipt says so. */
      test: z.boolean().optional(),
    }),
  },
  "payment-status": {
    1: z.object({
      provider: line,
      paymentId: line,
      status: z.enum(["waiting_for_capture", "canceled", "refunded"]),
      amount: money,
      at: moment,
      reason: line.optional(),
    }),
  },
  "endpoint-disabled": {
    1: z.object({
      /** Where the deliveries went. */
      url: webLink,
      /** `gone`: it answered 410. `failing`: it has failed for days. */
      cause: z.enum(["gone", "failing"]),
      failingSince: moment,
      lastFailure: line,
    }),
  },
  welcome: {
    1: z.object({ product: line }),
    2: z.object({ product: line, signInUrl: webLink }),
  },
} as const satisfies Record<string, Readonly<Record<number, z.ZodObject>>>;

/** The version that a new message gets. Older versions stay renderable. */
export const currentTemplateVersion = {
  "webhook-received": 1,
  "payment-succeeded": 1,
  "payment-status": 1,
  "endpoint-disabled": 1,
  welcome: 2,
} as const satisfies { readonly [Name in TemplateName]: keyof (typeof templateCatalogue)[Name] };

export type TemplateName = keyof typeof templateCatalogue;

type CurrentSchema<Name extends TemplateName> = (typeof templateCatalogue)[Name][(typeof currentTemplateVersion)[Name] &
  keyof (typeof templateCatalogue)[Name]];

/** The data that the current version of a template takes. */
export type TemplateData<Name extends TemplateName> =
  CurrentSchema<Name> extends z.ZodType ? z.input<CurrentSchema<Name>> : never;
