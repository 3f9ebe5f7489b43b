import { crc32 } from "node:zlib";
import examples from "@octokit/webhooks-examples" with { type: "json" };
import * as fc from "fast-check";
import { signing } from "../signed.ts";
import { heavyBodies, smuggled, strangers, tokens } from "./dictionary.ts";
import { mutate } from "./mutate.ts";
import { createRandom, type Random } from "./random.ts";
import { type Sender, type Sent, senders } from "./senders.ts";

/** What is said on one connection. */
export interface Input {
  readonly number: number;
  readonly kind: Kind | "bytes";
  readonly source: string;
  /** Each is written on its own, after the delay before it. */
  readonly pieces: readonly { readonly delayMs: number; readonly bytes: Buffer }[];
  readonly ending: "wait" | "half-close" | "reset";
  /** It is a whole and authentic webhook: anything but 2xx is a mistake of ours. */
  readonly mustBeTaken: boolean;
}

const weights = {
  authentic: 30,
  "mutated body": 8,
  "signed garbage": 8,
  "garbage headers": 8,
  "garbage target": 8,
  "mutated bytes": 14,
  smuggling: 12,
  strangers: 3,
  pipelined: 5,
  heavy: 4,
} as const;

type Kind = keyof typeof weights;

/** Those that read a body before it is proven, because the proof stands in it or covers what it means. */
const parsing = senders.filter(({ name }) => ["adyen", "aws-sns", "mailgun", "twilio", "github"].includes(name));

const kinds = Object.entries(weights).flatMap(([kind, weight]) => Array<Kind>(weight).fill(kind as Kind));

/** Stands wherever a sender could put a secret: it must never be logged. */
export const planted = "pl4nted-s3cret-8f1b";

/** Ends with a checksum: a flipped bit must not make the id of another input of it. */
export function correlationIdOf(seed: number, number: number): string {
  const id = `fuzz-${seed}-${number}`;
  return `${id}-${crc32(id).toString(36)}`;
}

/** An input follows from the seed and its number alone, but for the time at which it signs. */
export function inputOf(seed: number, number: number): Input {
  signing.atMs = Date.now();
  const random = createRandom(seed, number);
  const kind = random.pick(kinds);
  const sender = random.pick(kind === "heavy" && random.chance(0.6) ? parsing : senders);
  const request = requestOf(kind, sender, random, number);
  const bytes = bytesOf(kind, sender, request, random, correlationIdOf(seed, number));
  return {
    number,
    kind,
    source: sender.name,
    pieces: cut(bytes, random),
    ending: random.chance(0.9) ? "wait" : random.chance(0.5) ? "half-close" : "reset",
    mustBeTaken: kind === "authentic",
  };
}

function requestOf(kind: Kind, sender: Sender, random: Random, number: number): Sent {
  const id = `${number}-${random.whole(0, 1e9)}`;
  const authentic = Buffer.from(bodyOf(sender, random, id));
  if (kind === "signed garbage") return sender.send(Buffer.from(textOf(random)));
  if (kind === "heavy") return sender.send(heavyBodies(random));
  const sent = sender.send(authentic);
  return kind === "mutated body" ? { ...sent, body: mutate(sent.body, random) } : sent;
}

interface Example {
  readonly examples: readonly unknown[];
}

const exampleBodies = (examples as unknown as readonly Example[])
  .flatMap((event) => event.examples)
  .map((payload) => JSON.stringify(payload));

function bodyOf(sender: Sender, random: Random, id: string): string {
  if (sender.name === "github" && random.chance(0.7))
    return random.pick(exampleBodies).replace("{", `{"fuzz":"${id}",`);
  return sender.body(id, random.chance(0.5) ? "fuzz" : textOf(random));
}

/** Texts that have broken software before: by fast-check, and by hand. */
function textOf(random: Random): string {
  const [text = ""] = fc.sample(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json(),
      fc.constantFrom(...tokens),
      fc.string({ unit: "grapheme", maxLength: 200 }),
    ),
    { seed: random.whole(0, 2 ** 31 - 1), numRuns: 1 },
  );
  return text;
}

function bytesOf(kind: Kind, sender: Sender, sent: Sent, random: Random, correlationId: string): Buffer {
  const marked: Sent = { ...sent, headers: [...sent.headers, ["X-Correlation-Id", correlationId]] };
  const path = `/webhooks/${sender.name}`;
  const line = `${sent.method} ${path} HTTP/1.1`;
  const whole = (): Buffer => wire(line, marked);
  const manners: Readonly<Record<Kind, () => Buffer>> = {
    authentic: whole,
    "mutated body": whole,
    "signed garbage": whole,
    heavy: whole,
    "garbage headers": () => wire(line, { ...marked, headers: garbled(marked.headers, random) }),
    "garbage target": () => wire(`${targetOf(sender, random)} HTTP/1.1`, marked),
    "mutated bytes": () => mutate(whole(), random),
    smuggling: () => smuggled(path, marked, random),
    strangers: () => strangers(random),
    pipelined: () => Buffer.concat(Array.from({ length: random.whole(2, 6) }, whole)),
  };
  return manners[kind]();
}

function wire(line: string, { headers, body }: Sent): Buffer {
  const lines = [["Host", "fuzz"], ...headers, ["Content-Length", String(body.length)]];
  const head = `${line}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

const methods = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
  "QUERY",
  "PURGE",
  "post",
  "P\u00d6ST",
  "",
];
const paths = [
  "/",
  "*",
  "/webhooks",
  "/webhooks/",
  "/webhooks/%00",
  "/webhooks/%2e%2e/livez",
  "/webhooks/__proto__",
  "/livez",
  "/readyz",
  "/metrics",
];
const queries = [
  "hub.mode=subscribe&hub.challenge=",
  "challenge=",
  "bodySHA256=",
  "token=",
  "a=%",
  "&&&&",
  "=",
  "%F0%9F",
];

function targetOf(sender: Sender, random: Random): string {
  const own = `/webhooks/${sender.name}`;
  const absolute = `http://${random.pick(["fuzz", "", "[::1]:80", "a@b:c"])}${own}`;
  const path = random.pick([
    own,
    own,
    absolute,
    `${own}/more`,
    ...paths,
    `${own}${random.pick(tokens)}`,
    `/webhooks/${textOf(random)}`,
  ]);
  const query = random.chance(0.6) ? `?${random.pick(queries)}${random.chance(0.5) ? planted : textOf(random)}` : "";
  const method = random.chance(0.4) ? random.pick(methods) : random.pick(["GET", "HEAD", "POST"]);
  // what would end the line makes it another request: that is for the other kinds
  return `${method} ${path}${query}`.replaceAll(/[\r\n]/g, "");
}

function garbled(headers: Sent["headers"], random: Random): Sent["headers"] {
  const some = headers.map(([name, value]): readonly [string, string] => {
    if (random.chance(0.5)) return [name, value];
    return [
      name,
      random.pick([
        planted,
        "",
        ",",
        "=".repeat(500),
        `${value},${value}`,
        mutate(Buffer.from(value), random).toString("latin1"),
      ]),
    ];
  });
  const more = Array.from({ length: random.whole(0, 12) }, (): readonly [string, string] => [
    random.pick([
      ...tokens,
      ...headers.map(([name]) => name),
      "Content-Encoding",
      "Content-Type",
      "X-Forwarded-For",
      "Authorization",
      "Expect",
    ]),
    random.pick([planted, random.pick(tokens), textOf(random), random.bytes(random.whole(0, 60)).toString("latin1")]),
  ]);
  return [...some, ...more];
}

/** Most inputs come in one piece; some trickle in, at any byte. */
function cut(bytes: Buffer, random: Random): Input["pieces"] {
  if (random.chance(0.7) || bytes.length < 2) return [{ delayMs: 0, bytes }];
  const cuts = Array.from({ length: random.whole(1, 8) }, () => random.whole(0, bytes.length)).toSorted(
    (a, b) => a - b,
  );
  const marks = [0, ...cuts, bytes.length];
  return marks.slice(1).map((end, at) => ({
    delayMs: random.chance(0.3) ? random.whole(1, 30) : 0,
    bytes: bytes.subarray(marks[at], end),
  }));
}
