const redacted = "[redacted]";

/** Names of headers and query parameters that prove who sends, or let somebody in. */
const telling =
  /authorization|cookie|secret|token|password|passwd|credential|signature|hmac|api-?key|(?:^|[-_])(?:sig|key|auth|pass)(?:$|[-_])/i;

export interface ShownHeader {
  readonly name: string;
  readonly value: string;
  readonly redacted: boolean;
}

/** Headers in the order and case received; without `reveal`, secrets and signatures are taken out. */
export function shownHeaders(rawHeaders: readonly string[], reveal: boolean): ShownHeader[] {
  const headers: ShownHeader[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const isHidden = !reveal && telling.test(name);
    headers.push({ name, value: isHidden ? redacted : (rawHeaders[at + 1] ?? ""), redacted: isHidden });
  }
  return headers;
}

/** A query as it stood in the request line; without `reveal`, the values of telling parameters are taken out. */
export function shownQuery(query: string | undefined, reveal: boolean): string | null {
  if (query === undefined) return null;
  if (reveal) return query;
  return query
    .split("&")
    .map((pair) => {
      const equals = pair.indexOf("=");
      const name = equals === -1 ? pair : pair.slice(0, equals);
      return equals !== -1 && telling.test(decoded(name)) ? `${name}=${redacted}` : pair;
    })
    .join("&");
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
