import PostalMime from "postal-mime";

export interface SummaryHeaders {
  readonly subject: string;
  readonly messageId: string;
  readonly correlationId: string;
}

/** Reads only the head of a raw message: a sink gets many more mails than anybody opens. */
export async function readHeaders(raw: Buffer): Promise<SummaryHeaders> {
  const end = raw.indexOf("\r\n\r\n");
  const head = Buffer.concat([end < 0 ? raw : raw.subarray(0, end), Buffer.from("\r\n\r\n")]);
  const email = await PostalMime.parse(head);
  return {
    subject: email.subject ?? "",
    messageId: email.messageId ?? "",
    correlationId: email.headers.find(({ key }) => key === "x-correlation-id")?.value ?? "",
  };
}
