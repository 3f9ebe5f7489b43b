import type { IncomingMessage } from "node:http";

/** More header lines than any sender and its proxies write. Their bytes are bounded by Node's parser. */
const maxHeaders = 200;

/** Why a request is not taken though Node's parser took it. */
export interface FramingFault {
  readonly status: 400 | 431;
  readonly detail: string;
}

const otherVersion: FramingFault = { status: 400, detail: "the version of HTTP is neither 1.0 nor 1.1" };
const chunkedOld: FramingFault = { status: 400, detail: "HTTP/1.0 has no Transfer-Encoding" };
const twoHosts: FramingFault = { status: 400, detail: "Host stands twice" };
const manyHeaders: FramingFault = { status: 431, detail: `more than ${maxHeaders} header lines` };

/**
 * Finds what a proxy in front of us may read otherwise than we do, and so could be used to hide one request in another. Node's
 * parser refuses the rest: two lengths, length and chunks, folded lines, bare line ends, blanks before a colon, U+0000.
 * Source: https://www.rfc-editor.org/rfc/rfc9112 (sections 3.2, 6.1)
 */
export function framingFault(request: IncomingMessage): FramingFault | undefined {
  const { rawHeaders } = request;
  if (rawHeaders.length > 2 * maxHeaders) return manyHeaders;
  if (request.httpVersionMajor !== 1) return otherVersion;
  if (request.httpVersionMinor !== 1 && request.headers["transfer-encoding"] !== undefined) return chunkedOld;
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.length === 4 && rawHeaders[at]?.toLowerCase() === "host") hosts += 1;
  }
  return hosts > 1 ? twoHosts : undefined;
}

const schemeAndHost = /^https?:\/\/[^/?#]*/i;

/**
 * The target of a request as path and query. A target with scheme and host (absolute-form) means the same, and must not be routed,
 * signed or kept as another; anything else that is no path finds no route.
 */
export function pathOf(target: string | undefined): string {
  if (target === undefined) return "/";
  if (target.startsWith("/")) return target;
  const path = target.replace(schemeAndHost, "");
  return path.startsWith("/") || path === target ? path : `/${path}`;
}
