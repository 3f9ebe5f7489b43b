import type { Random } from "./random.ts";
import type { Sent } from "./senders.ts";

/** Words that parsers of HTTP, JSON, forms and signatures stumble over. */
export const tokens: readonly string[] = [
  "\r\n",
  "\n",
  "\r",
  "\r\n\r\n",
  "\r\n ",
  "\t",
  "\u0000",
  ":",
  ";",
  ",",
  "=",
  "%",
  "%00",
  "%0d%0a",
  "%zz",
  "%c0%ae",
  "..",
  "//",
  "?",
  "#",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "\u2028",
  "\ud800",
  "\ufeff",
  "\u202e",
  "NaN",
  "-0",
  "1e999",
  "9007199254740993",
  "-1",
  "0x10",
  "99999999999999999999",
  "2147483648",
  "null",
  "true",
  "[]",
  "{}",
  '""',
  "{",
  "[",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Content-Length: 0\r\n",
  "Content-Length: 5\r\nContent-Length: 6\r\n",
  "Content-Encoding: gzip\r\n",
  "Expect: 100-continue\r\n",
  "Connection: close\r\n",
  "Connection: Upgrade\r\nUpgrade: websocket\r\n",
  "Host: other\r\n",
  "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
  "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
  " HTTP/1.0",
  " HTTP/2.0",
  " HTTP/0.9",
  "0\r\n\r\n",
  "ffffffff\r\n",
  "5;ext=1\r\n",
  "t=1,v1=,v1=",
  "v1,AAAA v1,BBBB",
  "sha256=",
  "sha1=",
  "whsec_",
  "Basic Og==",
  "Bearer ",
  "multipart/form-data; boundary=x",
  "application/json; charset=utf-16",
  "text/plain",
  ";;;",
  "*/*",
  "'; drop table warren.jobs; --",
  "${7*7}",
  "<script>",
  "\\u0000",
  "\\ud800",
  "1970-01-01T00:00:00Z",
  "99999999999999",
];

/** A request whose end two readers could see at two places. */
export function smuggled(path: string, { headers, body }: Sent, random: Random): Buffer {
  const plain = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const line = `POST ${path} ${random.pick(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.10"])}\r\nHost: fuzz\r\n`;
  const lengths = [
    "",
    `Content-Length: ${body.length}\r\n`,
    "Content-Length: 0\r\n",
    `Content-Length: ${body.length + 9}\r\n`,
    "Content-Length: 5, 5\r\n",
  ];
  const codings = [
    "",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding:\tchunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    "Transfer-Encoding: identity, chunked\r\n",
    "transfer-encoding: CHUNKED\r\n",
    " Transfer-Encoding: chunked\r\n",
    "X: y\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n\tfolded\r\n",
    "TE: trailers\r\n",
  ];
  const framing = random.chance(0.5)
    ? random.pick(lengths) + random.pick(codings)
    : random.pick(codings) + random.pick(lengths);
  const hidden = random.pick([
    "",
    "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
  ]);
  const payload = random.chance(0.6) ? chunked(body, random) : body;
  return Buffer.concat([Buffer.from(`${line}${plain}${framing}\r\n`, "latin1"), payload, Buffer.from(hidden)]);
}

function chunked(body: Buffer, random: Random): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const end = Math.min(body.length, at + random.whole(1, random.pick([1, 16, 4_096])));
    const size = (end - at).toString(16);
    const extension = random.chance(0.05) ? `;${"e".repeat(random.pick([1, 100, 20_000]))}` : "";
    const spelled = random.chance(0.02)
      ? random.pick([`0x${size}`, `${size} `, `-${size}`, "fffffffffffffffff", "", "+1", "0"])
      : size;
    parts.push(
      Buffer.from(spelled + extension + (random.chance(0.02) ? "\n" : "\r\n")),
      body.subarray(at, end),
      Buffer.from("\r\n"),
    );
    at = end;
  }
  const trailer = random.pick(["", "", "X: y\r\n", `X: ${"t".repeat(20_000)}\r\n`, "Content-Length: 3\r\n"]);
  parts.push(Buffer.from(random.chance(0.9) ? `0\r\n${trailer}\r\n` : ""));
  return Buffer.concat(parts);
}

/** What is no HTTP/1 at all. */
export function strangers(random: Random): Buffer {
  return random.pick([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0006\u0004\u0000\u0000\u0000\u0000\u0000", "latin1"),
    Buffer.concat([Buffer.from("16030100c8010000c40303", "hex"), random.bytes(200)]),
    Buffer.from("SSH-2.0-OpenSSH_9.6\r\n"),
    Buffer.from("EHLO fuzz\r\n"),
    Buffer.from("GET /webhooks/github\r\n"),
    Buffer.from("\r\n".repeat(5_000)),
    Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    random.bytes(random.whole(1, 2_000)),
    Buffer.alloc(random.whole(1, 40_000), random.pick([0, 32, 65, 255])),
  ]);
}

/** Up to the largest body that a source takes, of what costs a parser most. */
export function heavyBodies(random: Random): Buffer {
  const filler = random.pick([
    "[",
    '{"a":',
    "[],",
    "{},",
    "a=&",
    "&",
    "a&",
    "%41",
    "=",
    "+",
    "\\u0000",
    '"',
    "1e999,",
    "\u{1F600}",
    "a=1&a=2&",
  ]);
  const bytes = random.pick([20_000, 200_000, 1_000_000, 1_048_576, 1_048_577]);
  const text = filler.repeat(Math.floor(bytes / Buffer.byteLength(filler)));
  return Buffer.from(random.chance(0.5) ? text : `[${text}`).subarray(0, bytes);
}
