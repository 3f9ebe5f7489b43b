import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { addressList, inAddressList, plainAddress } from "../address/address-list.ts";
import { eventDescriber } from "./event-values.ts";
import { headerOf, repeated } from "./header.ts";
import { addressesOption, eventOptions, headerName } from "./options.ts";
import { type Rejected, rejected, type Verify, type WebhookRequest } from "./verdict.ts";

export const mtlsOptions = z.strictObject({
  /**
   * The proxies that end TLS and check the client's certificate. The headers count only when one of them is the peer of the
   * connection, and it must overwrite what clients send under the same names.
   */
  proxies: addressesOption,
  /** The header in which the proxy says that the certificate is good, and what it says. Nginx: `$ssl_client_verify`, `SUCCESS`. */
  checked: z.strictObject({ header: headerName, value: z.string().min(1).max(200) }).optional(),
  /** The header in which the proxy names the certificate. */
  header: headerName,
  /**
   * How it names it: `text` (subject, serial or fingerprint as it is), `pem` (the whole certificate, percent-encoded, as of Nginx's
   * `$ssl_client_escaped_cert` or AWS's `X-Amzn-Mtls-Clientcert-Leaf`), `xfcc` (Envoy's `X-Forwarded-Client-Cert`, its last element).
   */
  form: z.enum(["text", "pem", "xfcc"]).default("text"),
  /** Who may send: the texts; for `pem` and `xfcc` SHA-256 fingerprints in hexadecimal, with or without colons. */
  allowed: z.array(z.string().min(1).max(1000)).min(1),
  ...eventOptions,
});

type MtlsOptions = z.infer<typeof mtlsOptions>;

/** A sender whose client certificate a trusted proxy has checked. Who it is, is no secret: there is nothing to compare in secret. */
export function mtlsVerifier(options: MtlsOptions): Verify {
  const proxies = addressList(options.proxies);
  const identityOf = readers[options.form];
  const allowed = new Set(options.form === "text" ? options.allowed : options.allowed.map(plainFingerprint));
  const header = options.header.toLowerCase();
  const describe = eventDescriber(options);
  return (request) => {
    const peer = request.peerAddress === undefined ? undefined : plainAddress(request.peerAddress);
    if (peer === undefined) return rejected("address_unknown");
    if (!inAddressList(proxies, peer)) return rejected("address_not_allowed");
    const unchecked = judgeChecked(request, options.checked);
    if (unchecked !== undefined) return unchecked;
    const value = headerOf(request.rawHeaders, header);
    if (value === undefined || value === "") return rejected("signature_missing");
    if (value === repeated) return rejected("header_repeated");
    const identity = identityOf(value);
    if (identity === undefined) return rejected("signature_malformed");
    return allowed.has(identity) ? { kind: "verified", ...describe(request) } : rejected("signature_mismatch");
  };
}

function judgeChecked({ rawHeaders }: WebhookRequest, checked: MtlsOptions["checked"]): Rejected | undefined {
  if (checked === undefined) return undefined;
  const value = headerOf(rawHeaders, checked.header.toLowerCase());
  if (value === undefined) return rejected("signature_missing");
  if (value === repeated) return rejected("header_repeated");
  return value === checked.value ? undefined : rejected("signature_mismatch");
}

type ReadIdentity = (header: string) => string | undefined;

const readers: Readonly<Record<MtlsOptions["form"], ReadIdentity>> = {
  text: (header) => header,
  pem: (header) => {
    try {
      return plainFingerprint(new X509Certificate(decodeURIComponent(header)).fingerprint256);
    } catch {
      return undefined;
    }
  },
  xfcc: (header) => {
    const found = new Set<string>();
    for (const [name, value] of lastElement(header))
      if (name.toLowerCase() === "hash") found.add(plainFingerprint(value));
    const [hash, ...others] = found;
    return others.length === 0 ? hash : undefined;
  },
};

function plainFingerprint(text: string): string {
  return text.replaceAll(":", "").toLowerCase();
}

/**
 * The pairs of the last element of an `X-Forwarded-Client-Cert`: the one that the nearest proxy added. Values may be quoted, with
 * `\"` for a quote. Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
 */
function lastElement(header: string): readonly (readonly [string, string])[] {
  let pairs: [string, string][] = [];
  let name = "";
  let text = "";
  let inValue = false;
  let quoted = false;
  for (let at = 0; at < header.length; at++) {
    const char = header.charAt(at);
    if (quoted && char === "\\" && at + 1 < header.length) text += header.charAt(++at);
    else if (char === '"' && inValue) quoted = !quoted;
    else if (quoted) text += char;
    else if (char === "=" && !inValue) {
      name = text;
      text = "";
      inValue = true;
    } else if (char === ";" || char === ",") {
      if (inValue) pairs.push([name.trim(), text]);
      if (char === ",") pairs = [];
      text = "";
      inValue = false;
    } else text += char;
  }
  if (quoted) return [];
  if (inValue) pairs.push([name.trim(), text]);
  return pairs;
}
