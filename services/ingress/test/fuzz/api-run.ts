import { request } from "node:http";
import { type Ledger, newId } from "@warren/ledger";
import { freePort } from "@warren/testing";
import { createDescriptionCheck } from "../description.ts";
import { failDelivery } from "../failed-delivery.ts";
import { auditCall, failureIn, type Reply } from "./api-audit.ts";
import { type ApiInput, apiInputOf, apiKeyEntries, areaOf, keys, type Operation } from "./api-inputs.ts";
import type { Vocabulary } from "./api-values.ts";
import { type Finding, growth, type Memory } from "./audit.ts";
import { converse } from "./conversation.ts";
import type { RunOptions, RunResult } from "./run.ts";
import { blockedIn, endUnderTest, sampleMemory, startUnderTest } from "./under-test.ts";

const atOnce = 12;
const roundMs = 10_000;
const warmUpRounds = 2;
const patienceMs = 30_000;
type Description = Parameters<typeof createDescriptionCheck>[0];

/** Starts an ingress with its management API, throws calls and bytes at that, and holds every answer to the served description. */
export async function runApi({ seed, forMs, only, tell }: RunOptions): Promise<RunResult> {
  await using stack = new AsyncDisposableStack();
  const port = await freePort();
  const more = { WARREN_API_KEYS: apiKeyEntries, WARREN_API_PORT: String(port) };
  const { service, ledger, versions, ended } = await startUnderTest(stack, more);
  const described = await call(port, { method: "get", target: "/api/v1/openapi.json", headers: {}, body: undefined });
  const document = JSON.parse(described.body) as Description;
  const check = createDescriptionCheck(document);
  const operations = operationsOf(document);
  tell(`${operations.length} operations, PostgreSQL ${versions.postgres}`);

  const known: Record<string, string[]> = {};
  const vocabulary: Omit<Vocabulary, "wrongShare"> = {
    schemas: document.components.schemas,
    known,
  };
  const findings: Finding[] = [];
  const counts = { kinds: {}, statuses: {} } as Record<"kinds" | "statuses", Record<string, number>>;
  const count = (what: keyof typeof counts, name: string): void => {
    counts[what][name] = (counts[what][name] ?? 0) + 1;
  };
  const memory: Memory[] = [];
  let next = only?.from ?? 0;
  const last = only === undefined ? Number.POSITIVE_INFINITY : only.from + only.count;
  const until = performance.now() + forMs;

  async function say(input: ApiInput): Promise<void> {
    if (input.kind === "bytes") {
      const pieces = [{ delayMs: 0, bytes: input.bytes }];
      const raw = { number: input.number, kind: "bytes", source: "api", pieces, mustBeTaken: false } as const;
      const { answers, refused } = await converse(port, { ...raw, ending: "wait" });
      if (refused) findings.push({ rule: "always listening", what: `input ${input.number}: refused` });
      for (const { status, code } of answers) {
        count("statuses", `${status}${code === undefined ? "" : ` ${code}`}`);
        findings.push(
          ...failureIn(status, code).map(({ rule, what }) => ({ rule, what: `input ${input.number}: ${what}` })),
        );
      }
      return;
    }
    const name = `input ${input.number}, ${input.key} key, ${input.operation.method} ${input.target.slice(0, 300)} ${input.body?.toString("latin1", 0, 1_500) ?? ""}`;
    try {
      const reply = await call(port, { ...input, method: input.operation.method });
      count("statuses", `${input.operation.method} ${input.operation.path} ${reply.status}`);
      findings.push(...auditCall(input, reply, check).map(({ rule, what }) => ({ rule, what: `${name}: ${what}` })));
      learn((known[areaOf(input.operation.path)] ??= []), reply);
    } catch (error) {
      findings.push({ rule: "every call is answered", what: `${name}: ${String(error)}` });
    }
  }

  const goesOn = (): boolean => service.running() && next < last && (only !== undefined || performance.now() < until);
  for (let round = 1; goesOn(); round += 1) {
    const roundEnds = Math.min(performance.now() + roundMs, only === undefined ? until : Number.POSITIVE_INFINITY);
    await furnish(ledger, say, operations);
    const workers = Array.from({ length: atOnce }, async () => {
      while (next < last && performance.now() < roundEnds && service.running()) {
        next += 1;
        const input = apiInputOf(seed, next - 1, operations, vocabulary);
        count("kinds", input.kind);
        await say(input);
      }
    });
    await Promise.all(workers);
    if (!service.running()) break;
    findings.push(...blockedIn(service, `a call of round ${round}, inputs up to ${next - 1}`));
    for (const url of [`${service.url}/livez`, `${service.url}/readyz`]) {
      const { status } = await fetch(url);
      if (status !== 200) findings.push({ rule: "stays healthy", what: `${url} answers ${status}` });
    }
    const sample = await sampleMemory(service);
    if (round > warmUpRounds || only !== undefined) memory.push(sample);
    tell(`${next} inputs, ${findings.length} findings, heap ${Math.round(sample.heapUsed / 2 ** 20)} MiB`);
    await forget(ledger);
    for (const area of Object.keys(known)) delete known[area];
  }
  findings.push(...(await endUnderTest(service, ended, Object.values(keys))));
  const { mib, rssKibARound, findings: grown } = growth(memory);
  return {
    findings: [...findings, ...grown],
    inputs: next - (only?.from ?? 0),
    ...counts,
    kept: {},
    overloadedAnswers: 0,
    memoryGrowthMib: mib,
    rssKibARound,
    memory,
    versions,
  };
}

function operationsOf(document: Description): readonly Operation[] {
  return Object.entries(document.paths)
    .filter(([path]) => path.startsWith("/api/"))
    .flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({
        method,
        path,
        parameters: (operation as { readonly parameters?: Operation["parameters"] }).parameters ?? [],
        body: operation.requestBody?.content["application/json"]?.schema,
      })),
    );
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const mostKnown = 30;

/** Ids and names, so that later calls meet what is there. */
function learn(known: string[], { status, body }: Reply): void {
  if (status >= 300 || body.length > 200_000) return;
  const ids = [...body.matchAll(uuid)].map(([id]) => id);
  const names = [...body.matchAll(/"name":"([a-z0-9-]{1,40})"/g)].map(([, name = ""]) => name);
  known.push(...ids.slice(0, 4), ...names.slice(0, 4));
  if (known.length > mostKnown) known.splice(0, known.length - mostKnown);
}

/** So that there is something to look at: an endpoint with deliveries, sources with requests. */
async function furnish(
  ledger: Ledger,
  say: (input: ApiInput) => Promise<void>,
  operations: readonly Operation[],
): Promise<void> {
  const made = async (method: string, path: string, target: string, body: object): Promise<void> => {
    const operation = operations.find((one) => one.method === method && one.path === path);
    if (operation === undefined) throw new Error(`${method} ${path} is not described`);
    const headers = { authorization: `Bearer ${keys.all}`, "content-type": "application/json" };
    const text = Buffer.from(JSON.stringify(body));
    await say({ kind: "call", number: -1, operation, isItsPath: true, target, key: "all", headers, body: text });
  };
  const url = "https://hooks.example.com/in";
  await made("post", "/api/v1/endpoints", "/api/v1/endpoints", { url });
  for (const provider of ["github", "hmac"]) {
    const source = { name: `shop-${newId()}`, provider, options: provider === "hmac" ? { header: "x-sig" } : {} };
    await made("post", "/api/v1/sources", "/api/v1/sources", source);
    await made("post", "/api/v1/sources/{name}/test", `/api/v1/sources/${source.name}/test`, {});
  }
  await made("post", "/api/v1/sources/{name}/test", "/api/v1/sources/github/test", { payload: { a: [{ b: 1 }] } });
  await made("post", "/api/v1/rules", "/api/v1/rules", {
    name: `rule-${newId()}`,
    transform: { code: "function transform(event) { return event.body; }" },
    to: { kind: "job", job: "shop.fuzz", queue: "orders" },
  });
  const { rows } = await ledger.query(`select id from ${ledger.table("webhook_endpoints")} limit 1`, []);
  const answer = { body: Buffer.from([0, 255, 195]), truncated: true };
  const failed = { endpointId: String(rows[0]?.["id"]), url, eventId: (id: string) => id, answer };
  for (let made = 0; made < 3; made += 1) await failDelivery(ledger, failed);
  const listed = operations.find(({ method, path }) => method === "get" && path === "/api/v1/deliveries");
  if (listed === undefined) throw new Error("the list of deliveries is not described");
  const headers = { authorization: `Bearer ${keys.all}` };
  await say({
    kind: "call",
    number: -1,
    operation: listed,
    isItsPath: true,
    target: listed.path,
    key: "all",
    headers,
    body: undefined,
  });
}

/** What grows with the number of calls. */
async function forget(ledger: Ledger): Promise<void> {
  const grown = ["webhook_requests", "webhook_dedupe", "webhook_endpoints", "webhook_deliveries", "jobs"].map((name) =>
    ledger.table(name),
  );
  await ledger.query(`truncate ${grown.join(", ")} cascade`, []);
}

interface Said {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

function call(port: number, { method, target, headers, body }: Said): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const own = body === undefined ? {} : { "content-length": String(body.length) };
    const sent = request(
      {
        host: "127.0.0.1",
        port,
        method: method.toUpperCase(),
        path: target,
        headers: { ...headers, ...own },
        timeout: patienceMs,
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const contentType = response.headers["content-type"] ?? "";
          resolve({ status: response.statusCode ?? 0, contentType, body: Buffer.concat(chunks).toString() });
        });
      },
    );
    sent.on("timeout", () => sent.destroy(new Error(`no answer in ${patienceMs} ms`)));
    sent.on("error", reject);
    sent.end(body);
  });
}
