export { type MailFault, mailFault } from "./mail/faults.ts";
export type { MailSummary } from "./mail/mail-log.ts";
export { type MailSink, type MailSinkOptions, startMailSink } from "./mail/mail-sink.ts";
export type { MailFilter } from "./mail/mail-store.ts";
