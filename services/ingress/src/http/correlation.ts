const acceptable = /^[A-Za-z0-9][A-Za-z0-9._:/=+@-]{0,127}$/;

/** The sender's correlation id if it is one that may stand in logs and headers, else the request's own id. */
export function correlationOf(header: string | string[] | undefined, requestId: string): string {
  return typeof header === "string" && acceptable.test(header) ? header : requestId;
}
