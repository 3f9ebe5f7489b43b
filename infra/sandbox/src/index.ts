export { type MailFault, mailFault } from "./mail/faults.ts";
export type { MailSummary } from "./mail/mail-log.ts";
export { type MailSink, type MailSinkOptions, startMailSink } from "./mail/mail-sink.ts";
export type { MailFilter } from "./mail/mail-store.ts";
export { type YookassaFault, yookassaFault } from "./yookassa/faults.ts";
export type { Payment, SeededPayment } from "./yookassa/payment.ts";
export { startYookassa, type YookassaCall, type YookassaOptions, type YookassaStandIn } from "./yookassa/stand-in.ts";
