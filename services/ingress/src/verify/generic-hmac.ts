import { eventDescriber } from "./event-values.ts";
import { headerOf, repeated } from "./header.ts";
import type { HmacOptions } from "./options.ts";
import { matchHmac, maxSignatures, type SignedContent } from "./signature.ts";
import { compileTemplate } from "./template.ts";
import { judgeTimestamp } from "./timestamp.ts";
import { rejected, unavailable, type Verify } from "./verdict.ts";

/**
 * Any HMAC scheme, put together from configuration: header, prefix, encoding, what is signed, and where the time, the event's id and
 * its type stand. Without an id, the same bytes are the same event.
 */
export function genericHmacVerifier(options: HmacOptions): Verify {
  const { algorithm, encoding, prefix, timestamp } = options;
  const header = options.header.toLowerCase();
  const contentOf = compileTemplate(options.content);
  const describe = eventDescriber(options);

  return (request, secrets, nowMs) => {
    const value = headerOf(request.rawHeaders, header);
    if (value === undefined) return rejected("signature_missing");
    if (value === repeated) return rejected("header_repeated");

    const signatures: string[] = [];
    for (const item of options.separator === undefined ? [value] : value.split(options.separator)) {
      const candidate = item.trim();
      if (candidate.startsWith(prefix) && signatures.length < maxSignatures)
        signatures.push(candidate.slice(prefix.length));
    }
    if (signatures.length === 0) return rejected("signature_malformed");

    let time = "";
    if (timestamp !== undefined) {
      const sent = headerOf(request.rawHeaders, timestamp.header.toLowerCase());
      if (sent === repeated) return rejected("header_repeated");
      if (sent === undefined) return rejected("timestamp_missing");
      const untimely = judgeTimestamp(
        sent,
        timestamp.unit === "ms" ? 1 : 1000,
        timestamp.toleranceSeconds * 1000,
        nowMs,
      );
      if (untimely !== undefined) return untimely;
      time = sent;
    }

    const content: SignedContent | undefined = contentOf(request, time);
    if (content === undefined) return rejected("header_repeated");
    const match = matchHmac({ algorithm, encoding, content, signatures, secrets, nowMs });
    if (match === "no-current-secret") return unavailable;
    if (match === "mismatch") return rejected("signature_mismatch");

    return { kind: "verified", ...describe(request) };
  };
}
