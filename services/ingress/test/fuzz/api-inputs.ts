import { noId, type Schema, type Vocabulary, valueOf } from "./api-values.ts";
import { smuggled, strangers, tokens } from "./dictionary.ts";
import { mutate } from "./mutate.ts";
import { createRandom, type Random } from "./random.ts";

/** One call that the description has. */
export interface Operation {
  readonly method: string;
  /** Such as `/api/v1/sources/{name}`. */
  readonly path: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly body: Schema | undefined;
}

/** The keys that the ingress under test knows, and what they may do. */
export const keys = {
  all: "fuzz-all-0123456789abcdef",
  read: "fuzz-read-0123456789abcdef",
} as const;
export const apiKeyEntries = `fuzz:*:${keys.all},reader:*.read:${keys.read}`;

/** A call in whole HTTP, or bytes that may be anything. */
export type ApiInput =
  | {
      readonly kind: "call";
      readonly number: number;
      readonly operation: Operation;
      /** Whether the path surely is the operation's. */
      readonly isItsPath: boolean;
      readonly target: string;
      readonly key: keyof typeof keys | "none";
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Buffer | undefined;
    }
  | { readonly kind: "bytes"; readonly number: number; readonly bytes: Buffer };

const wrongKeys = ["", "Bearer", "Bearer ", `Basic ${keys.all}`, `Bearer ${keys.all}x`, keys.all, "Bearer \u00e9"];
const types = ["text/plain", "application/json; charset=utf-16", "multipart/form-data", "application/*", "a", "/"];

/** Follows from seed, number, and what answers have shown so far. */
export function apiInputOf(
  seed: number,
  number: number,
  operations: readonly Operation[],
  all: Omit<Vocabulary, "wrongShare">,
): ApiInput {
  const random = createRandom(seed, number);
  // half are meant to be taken
  const vocabulary = { ...all, wrongShare: random.chance(0.5) ? 0 : 0.05 };
  const operation = random.pick(operations);
  const key = random.chance(0.9) ? "all" : random.chance(0.5) ? "read" : "none";
  const { target, isItsPath } = targetOf(operation, random, vocabulary);
  const body = bodyOf(operation, random, vocabulary);
  const headers = {
    ...(key === "none" ? noKey(random) : { authorization: `Bearer ${keys[key]}` }),
    ...(body === undefined ? {} : { "content-type": random.chance(0.97) ? "application/json" : random.pick(types) }),
    ...(random.chance(0.02) ? { "content-encoding": "gzip" } : {}),
    ...(random.chance(0.05) ? { "x-correlation-id": random.pick(tokens).replaceAll(/[^\x20-\x7e]/g, "") } : {}),
  };
  const call = { kind: "call", number, operation, isItsPath, target, key, headers, body } as const;
  return random.chance(0.8) ? call : { kind: "bytes", number, bytes: bytesOf(call, random) };
}

function noKey(random: Random): Readonly<Record<string, string>> {
  return random.chance(0.2) ? {} : { authorization: random.pick(wrongKeys) };
}

/** What an id or a name in this path, or in its answers, is of. */
export function areaOf(path: string): string {
  const [, , , area = "", , verb] = path.split("/");
  return area === "events" || (area === "sources" && verb === "test") ? "requests" : area;
}

function targetOf({ path, parameters }: Operation, random: Random, vocabulary: Vocabulary) {
  let isItsPath = true;
  let target = path;
  for (const { name, schema } of parameters.filter(({ in: where }) => where === "path")) {
    const plain = String(
      random.chance(0.85)
        ? random.pick([...(vocabulary.known[areaOf(path)] ?? []), noId])
        : valueOf(schema, random, vocabulary, name),
    ).toWellFormed();
    const raw = random.chance(0.05);
    const text = raw ? random.pick(["%00", "%zz", "%ff", "..", "%2e%2e%2f", "%2F", ".", ";", "a/b"]) : plain;
    if (raw || plain === "" || plain.length > 60) isItsPath = false;
    target = target.replace(`{${name}}`, raw ? text : encodeURIComponent(text));
  }
  const query = parameters
    .filter(({ in: where }) => where === "query")
    .filter(() => random.chance(0.35))
    .flatMap(({ name, schema }) =>
      Array.from({ length: random.chance(0.05) ? 3 : 1 }, () => {
        const value = valueOf(schema, random, vocabulary, name);
        const text = typeof value === "string" ? value : JSON.stringify(value);
        return `${name}=${encodeURIComponent(text.slice(0, 4_000).toWellFormed())}`;
      }),
    );
  if (random.chance(0.03)) query.push(random.pick(["%", "=", "&&", "%00=%00", "__proto__=1", "limit[]=1", "a"]));
  return { target: query.length === 0 ? target : `${target}?${query.join("&")}`, isItsPath };
}

function bodyOf({ method, body }: Operation, random: Random, vocabulary: Vocabulary): Buffer | undefined {
  if (body === undefined) return method !== "get" && random.chance(0.1) ? Buffer.from("{}") : undefined;
  const text = Buffer.from(JSON.stringify(valueOf(body, random, vocabulary)));
  if (random.chance(0.85)) return text;
  return random.pick([
    () => mutate(text, random),
    () => Buffer.from('{"__proto__":{"a":1}}'),
    () => Buffer.from("[".repeat(200_000)),
    () => Buffer.from(`{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}}`),
    () => Buffer.alloc(random.whole(1_000_000, 1_100_000), 32),
    () => Buffer.alloc(0),
    () => random.bytes(200),
  ])();
}

/** The call as bytes, with what may befall bytes. */
function bytesOf(call: Extract<ApiInput, { readonly kind: "call" }>, random: Random): Buffer {
  const { operation, target, headers, body = Buffer.alloc(0) } = call;
  const lines = Object.entries(headers).map(([name, value]): readonly [string, string] => [name, value]);
  const head = [...lines, ["content-length", String(body.length)]].map(([name, value]) => `${name}: ${value}\r\n`);
  const whole = (): Buffer =>
    Buffer.concat([
      Buffer.from(
        `${operation.method.toUpperCase()} ${target} HTTP/1.1\r\nhost: fuzz\r\n${head.join("")}\r\n`,
        "latin1",
      ),
      body,
    ]);
  return random.pick([
    () => mutate(whole(), random),
    () => mutate(whole(), random),
    () => smuggled(target, { method: "POST", query: "", headers: lines, body }, random),
    () => strangers(random),
    () => Buffer.concat(Array.from({ length: random.whole(2, 5) }, whole)),
    () => whole().subarray(0, random.whole(1, whole().length)),
  ])();
}
