import { randomBytes } from "node:crypto";
import {
  newEndpoint,
  pageOf,
  problem,
  providerView,
  sourceTestResult,
  sourceView,
  sourceWithSecret,
} from "@warren/contracts";
import { createEndpoints, createKeyRing, rotateSealedTexts } from "@warren/jobs";
import { createSealedTexts } from "@warren/ledger";
import { createWorld, waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { githubHeaders, post, prepare, requestsOf, startIngress } from "./fixture.ts";
import { apiKey, manage, newKeyRing } from "./management.ts";
import { standardHeaders } from "./signed.ts";

const pollMs = 50;

function code(answer: { readonly status: number; readonly body: unknown }): readonly [number, string] {
  return [answer.status, problem.parse(answer.body).code];
}

const secretIn = (body: unknown): string => sourceWithSecret.parse(body).secret ?? "";
const nowSeconds = () => Math.floor(Date.now() / 1000);
const ping = (secret: string, id: string) => standardHeaders(id, "{}", nowSeconds(), secret);
const page = pageOf(sourceView);

describe("sources at run time", () => {
  test("are made, tested, rotated, changed, disabled and deleted, and every process follows without a restart", async () => {
    await using world = await createWorld();
    await prepare(world);
    const keyRing = newKeyRing();
    const options = { apiKeys: [apiKey], keyRing, sourcePollMs: pollMs };
    await using first = await startIngress(world, options);
    await using second = await startIngress(world, { ...options, apiKeys: [] });
    const send = (secret: string, id: string, to = second) => {
      const headers = { ...ping(secret, id), "content-type": "application/json" };
      return fetch(`${to.url}/webhooks/shop-eu`, { method: "POST", headers, body: "{}" });
    };
    const deliver = async (secret: string, id: string, to = second) => {
      const answer = await send(secret, id, to);
      await answer.text();
      return answer.status;
    };

    const made = await manage(first, "POST", "/sources", { name: "shop-eu", provider: "standard-webhooks" });
    expect(made.status).toBe(201);
    const old = secretIn(made.body);
    expect(old).toMatch(/^whsec_/);
    expect(sourceWithSecret.parse(made.body).source).toMatchObject({ origin: "api", enabled: true, problem: null });
    expect(await deliver(old, "m1", first)).toBe(202);
    await waitFor(async () => (await deliver(old, "m2")) === 202, { what: "the other process to know the source" });

    // sealed at rest, and shown once
    const { rows } = await first.ledger.query(`select * from ${first.ledger.table("webhook_source_secrets")}`, []);
    expect(JSON.stringify(rows)).toContain("s1:k1:");
    expect(JSON.stringify(rows)).not.toContain(old.slice(6));
    expect((await manage(first, "GET", "/sources/shop-eu")).text).not.toContain(old.slice(6));

    const rotated = await manage(first, "POST", "/sources/shop-eu/secrets", { overlapSeconds: 3600 });
    const fresh = secretIn(rotated.body);
    await waitFor(async () => (await deliver(fresh, "m3")) === 202, { what: "the new secret to be known" });
    expect(await deliver(old, "m4")).toBe(202);
    const [oldSecret, newSecret] = sourceWithSecret.parse(rotated.body).source.secrets;
    expect(oldSecret?.notAfter).not.toBeNull();
    expect(newSecret?.notAfter).toBeNull();
    await manage(first, "DELETE", `/sources/shop-eu/secrets/${oldSecret?.id}`);
    await waitFor(async () => (await deliver(old, "m5")) === 401, { what: "the old secret to be refused" });
    expect(code(await manage(first, "DELETE", `/sources/shop-eu/secrets/${newSecret?.id}`))).toEqual([
      409,
      "SOURCE_SECRET_LAST",
    ]);
    const third = secretIn((await manage(first, "POST", "/sources/shop-eu/secrets", { overlapSeconds: 0 })).body);
    expect([await deliver(fresh, "m6", first), await deliver(third, "m6", first)]).toEqual([401, 202]);

    const patch = {
      answer: { status: 201, contentType: "text/plain", body: "taken" },
      rateLimit: { perSecond: 0.5, burst: 2 },
      contentTypes: ["application/json"],
    };
    const patched = await manage(first, "PATCH", "/sources/shop-eu", patch);
    expect(sourceView.parse(patched.body)).toMatchObject({ ...patch, maxBodyBytes: 1_048_576 });
    const answered = await send(third, "m7", first);
    expect([answered.status, answered.headers.get("content-type"), await answered.text()]).toEqual([
      201,
      "text/plain",
      "taken",
    ]);
    // forged ones take no share of the limit; what is over it is told when to come again
    expect([await deliver(old, "m8", first), await deliver(third, "m8", first)]).toEqual([401, 201]);
    const limited = await send(third, "m9", first);
    expect([
      ...code({ status: limited.status, body: await limited.json() }),
      limited.headers.get("retry-after"),
    ]).toEqual([429, "WEBHOOK_RATE_LIMITED", "2"]);
    await manage(first, "PATCH", "/sources/shop-eu", { rateLimit: null, answer: null, maxBodyBytes: 1 });
    expect(await deliver(third, "m9", first)).toBe(413);

    await manage(first, "PATCH", "/sources/shop-eu", { enabled: false, maxBodyBytes: 100 });
    expect(await deliver(third, "m9", first)).toBe(404);
    await first.ingress.drain();
    const refused = (await requestsOf(first)).findLast((row) => row["status"] === "rejected");
    expect([refused?.["cause"], String(refused?.["body"])]).toEqual(["source_disabled", "{}"]);
    const verify = () =>
      manage(first, "POST", `/requests/${String(refused?.["id"])}/verify`, { reason: "it was disabled by mistake" });
    expect((await verify()).text).toContain("source_disabled");
    await manage(first, "PATCH", "/sources/shop-eu", { enabled: true });
    // late, and then known when its sender comes again
    expect((await verify()).body).toMatchObject({ kind: "changed", failed: false });
    const again = await send(third, "m9", first);
    expect([again.status, await again.json()]).toEqual([202, expect.objectContaining({ status: "duplicate" })]);

    expect((await manage(first, "DELETE", "/sources/shop-eu")).status).toBe(204);
    await waitFor(async () => (await deliver(third, "m10")) === 404, { what: "the source to be gone everywhere" });
    expect(code(await manage(first, "DELETE", "/sources/shop-eu"))).toEqual([404, "WEBHOOK_SOURCE_UNKNOWN"]);
  });

  test("are refused with a code when they clash, lack a secret or do not fit their provider; test events are real", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world, { apiKeys: [apiKey], keyRing: newKeyRing() });
    const create = (body: object) => manage(running, "POST", "/sources", body);
    await create({ name: "hub", provider: "github", secrets: [{ value: "It-is-a-secret" }] });
    await create({
      name: "meta",
      provider: "meta",
      secrets: [{ value: "app" }],
      options: { verifyToken: "hush-hush" },
    });
    await create({ name: "bot", provider: "telegram" });
    await create({ name: "money", provider: "yookassa" });

    const wrong: readonly (readonly [object, number, string, string?])[] = [
      [{ name: "hub", provider: "github" }, 409, "SOURCE_NAME_TAKEN"],
      [{ name: "stripe", provider: "stripe", secrets: [{ value: "x" }] }, 409, "SOURCE_NAME_TAKEN"],
      [{ name: "pay", provider: "stripe" }, 400, "SOURCE_SECRET_REQUIRED"],
      [{ name: "pay", provider: "strip" }, 400, "API_REQUEST_INVALID", "body.provider"],
      [{ name: "Pay", provider: "stripe" }, 400, "API_REQUEST_INVALID", "body.name"],
      [
        { name: "pay", provider: "square", secrets: [{ value: "x" }] },
        400,
        "API_REQUEST_INVALID",
        "body.options.publicUrl",
      ],
      [
        { name: "pay", provider: "adyen", secrets: [{ value: "no hex" }] },
        400,
        "API_REQUEST_INVALID",
        "body.secrets.0.value",
      ],
      [
        { name: "pay", provider: "yookassa", secrets: [{ value: "x" }] },
        400,
        "API_REQUEST_INVALID",
        "body.secrets.0.value",
      ],
      [
        { name: "pay", provider: "stripe", secrets: [{ value: "\u0000".repeat(3) }], rate: 1 },
        400,
        "API_REQUEST_INVALID",
        "body",
      ],
      [
        { name: "pay", provider: "bearer", answer: { status: 204, contentType: "a/b", body: "x" } },
        400,
        "API_REQUEST_INVALID",
        "body.answer",
      ],
    ];
    for (const [body, status, expected, place] of wrong) {
      const answer = await create(body);
      expect([body, ...code(answer)]).toEqual([body, status, expected]);
      const places = problem.parse(answer.body).errors?.map(({ path }) => path) ?? [undefined];
      expect(places).toContain(place);
      expect(answer.text).not.toContain("no hex");
    }
    expect(code(await manage(running, "PATCH", "/sources/stripe", { enabled: false }))).toEqual([
      409,
      "SOURCE_FROM_CONFIGURATION",
    ]);
    expect(code(await manage(running, "PATCH", "/sources/hub", { options: { x: 1 } }))[1]).toBe("API_REQUEST_INVALID");
    expect(code(await manage(running, "POST", "/sources/money/secrets"))).toEqual([400, "API_REQUEST_INVALID"]);
    expect(code(await manage(running, "POST", "/sources/nobody/test"))).toEqual([404, "WEBHOOK_SOURCE_UNKNOWN"]);
    expect(code(await manage(running, "POST", "/sources/money/test"))).toEqual([422, "SOURCE_TEST_UNSUPPORTED"]);
    expect(code(await manage(running, "POST", "/sources/expired/test"))[1]).toBe("WEBHOOK_SECRETS_NOT_CURRENT");
    for (let at = 1; at < 10; at += 1) await manage(running, "POST", "/sources/hub/secrets", { value: `s${at}` });
    expect(code(await manage(running, "POST", "/sources/hub/secrets"))).toEqual([409, "SOURCE_SECRETS_FULL"]);

    // an option that is a secret is sealed and masked, and kept when it comes back masked
    const { rows } = await running.ledger.query(`select settings from ${running.ledger.table("webhook_sources")}`, []);
    expect(JSON.stringify(rows)).not.toContain("hush");
    const meta = await manage(running, "GET", "/sources/meta");
    const { options } = sourceView.parse(meta.body);
    expect(options).toEqual({ verifyToken: "***" });
    await manage(running, "PATCH", "/sources/meta", { options });
    const ask = `${running.url}/webhooks/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=`;
    const challenges = [await fetch(`${ask}hush-hush`), await fetch(`${ask}${encodeURIComponent("***")}`)];
    expect([challenges[0]?.status, await challenges[0]?.text(), challenges[1]?.status]).toEqual([
      200,
      "1158201444",
      401,
    ]);

    for (const name of ["hub", "stripe", "bot", "standard", "generic"]) {
      const sent = await manage(running, "POST", `/sources/${name}/test`, { type: "thing.made", payload: { n: 1 } });
      const result = sourceTestResult.parse(sent.body);
      expect([name, result.accepted, result.answer.status < 300]).toEqual([name, true, true]);
    }
    const all = await requestsOf(running);
    const tests = all.filter(({ correlation_id }) => String(correlation_id).startsWith("test-"));
    expect(tests.map(({ source, status, event_type }) => [source, status, event_type])).toEqual([
      ["hub", "accepted", "thing.made"],
      ["stripe", "accepted", "thing.made"],
      ["bot", "accepted", "thing.made"],
      ["standard", "accepted", "thing.made"],
      ["generic", "accepted", null],
    ]);
    const bot = await manage(running, "POST", "/sources/bot/test");
    expect(sourceTestResult.parse(bot.body).request.headers["x-telegram-bot-api-secret-token"]).toBe("***");

    const names: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const { body } = await manage(running, "GET", `/sources?limit=4${cursor === "" ? "" : `&cursor=${cursor}`}`);
      const { items, nextCursor } = page.parse(body);
      names.push(...items.map(({ name }) => name));
      cursor = nextCursor;
    }
    expect(names).toEqual([
      "bot",
      "expired",
      "generic",
      "github",
      "hub",
      "meta",
      "money",
      "standard",
      "stripe",
      "yookassa",
    ]);
    const { body } = await manage(running, "GET", "/providers");
    const github = pageOf(providerView)
      .omit({ nextCursor: true })
      .parse(body)
      .items.find(({ name }) => name === "github");
    expect(github).toMatchObject({ hasSecrets: true, choosesSecret: true, testable: true, methods: ["POST"] });
  });

  test("without their keys are 503 and say why, while the others work; a configured one of the same name wins", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using owner = await startIngress(world, { apiKeys: [apiKey], keyRing: newKeyRing() });
    for (const name of ["ours", "github-later", "money"]) {
      const provider = name === "money" ? "yookassa" : "github";
      await manage(owner, "POST", "/sources", { name, provider });
    }
    const configured = { "github-later": { provider: "github", secrets: ["configured"] } };
    const options = { apiKeys: [apiKey], keyRing: newKeyRing("other"), sourcePollMs: pollMs };
    await using stranger = await startIngress(world, { ...options, sources: configured });
    const headers = githubHeaders("{}", "d1", "configured");
    expect((await post(stranger, "ours", headers, "{}")).status).toBe(503);
    expect((await post(stranger, "github-later", headers, "{}")).status).toBe(202);
    expect((await post(stranger, "money", { "content-type": "application/json" }, "{}")).status).toBe(401);
    const { body } = await manage(stranger, "GET", "/sources");
    const problems = page.parse(body).items.map(({ name, origin, problem: why }) => [name, origin, why]);
    expect(problems).toEqual([
      ["github-later", "configuration", null],
      ["github-later", "api", expect.stringContaining("served instead")],
      ["money", "api", null],
      ["ours", "api", expect.stringContaining("PAYLOAD_KEY_UNKNOWN")],
    ]);

    await using without = await startIngress(world, { apiKeys: [apiKey] });
    expect(code(await manage(without, "POST", "/sources", { name: "new", provider: "github" }))).toEqual([
      503,
      "PAYLOAD_KEY_RING_MISSING",
    ]);
    expect((await manage(without, "POST", "/sources", { name: "free", provider: "yookassa" })).status).toBe(201);
  });

  test("are sealed anew under a new key with the endpoints' secrets, and open without the old one", async () => {
    await using world = await createWorld();
    await prepare(world);
    const [old, fresh] = [randomBytes(32), randomBytes(32)];
    const before = createKeyRing({ current: "old", keys: { old } });
    await using running = await startIngress(world, { apiKeys: [apiKey], keyRing: before });
    const { ledger } = running;
    const options = { verifyToken: "hush" };
    const meta = { name: "meta", provider: "meta", secrets: [{ value: "app" }], options };
    expect((await manage(running, "POST", "/sources", meta)).status).toBe(201);
    const target = newEndpoint.parse({ url: "https://example.com/hook", headers: { "x-key": "hush" } });
    const { endpoint } = await createEndpoints({ ledger, keyRing: before }).create(target);

    const texts = createSealedTexts(ledger);
    expect((await texts.list()).map(({ owner }) => owner.replaceAll(/[0-9a-f-]{36}/g, "*"))).toEqual([
      "webhook-endpoint/*",
      "webhook-endpoint/*/secret/*",
      "webhook-source/*/option/verifyToken",
      "webhook-source/*/secret/*",
    ]);
    const stranger = await rotateSealedTexts(texts, newKeyRing("stranger"));
    expect([stranger.rotated, stranger.failed.map(({ code: why }) => why)]).toEqual([
      0,
      Array.from({ length: 4 }, () => "PAYLOAD_KEY_UNKNOWN"),
    ]);
    const both = createKeyRing({ current: "new", keys: { new: fresh, old } });
    expect(await rotateSealedTexts(texts, both)).toEqual({ rotated: 4, current: 0, busy: 0, failed: [] });
    expect(await rotateSealedTexts(texts, both)).toEqual({ rotated: 0, current: 4, busy: 0, failed: [] });

    const after = createKeyRing({ current: "new", keys: { new: fresh } });
    expect(await createEndpoints({ ledger, keyRing: after }).open(endpoint.id)).toMatchObject({
      sealed: { headers: { "x-key": "hush" } },
    });
    await using next = await startIngress(world, { apiKeys: [apiKey], keyRing: after });
    expect(sourceTestResult.parse((await manage(next, "POST", "/sources/meta/test")).body).accepted).toBe(true);
    const ask = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=hush";
    expect((await fetch(`${next.url}/webhooks/meta?${ask}`)).status).toBe(200);
  });

  test("of one name are made once, however many make it at the same moment, and rotations do not lose each other", async () => {
    await using world = await createWorld();
    await prepare(world);
    const keyRing = newKeyRing();
    await using one = await startIngress(world, { apiKeys: [apiKey], keyRing });
    await using two = await startIngress(world, { apiKeys: [apiKey], keyRing });
    const ingresses = [one, two, one, two];
    const body = { name: "race", provider: "github" };
    const made = await Promise.all(ingresses.map((ingress) => manage(ingress, "POST", "/sources", body)));
    expect(made.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409]);
    const rotated = await Promise.all(ingresses.map((ingress) => manage(ingress, "POST", "/sources/race/secrets")));
    const secrets = [...made.filter(({ status }) => status === 201), ...rotated].map((answer) => secretIn(answer.body));
    const view = sourceView.parse((await manage(two, "GET", "/sources/race")).body);
    expect([view.revision, view.secrets.map(({ current }) => current)]).toEqual([5, [true, true, true, true, true]]);
    await manage(two, "PATCH", "/sources/race", {});
    const statuses = await Promise.all(
      secrets.map(async (secret, at) => (await post(two, "race", githubHeaders("{}", `d${at}`, secret), "{}")).status),
    );
    expect(statuses).toEqual([202, 202, 202, 202, 202]);
  });

  test("that were not read yet are 503, never 404, and come as soon as the database answers", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using other = await startIngress(world);
    const rename = (from: string, to: string) =>
      other.ledger.query(`alter table ${other.ledger.table(from)} rename to ${to}`, []);
    await rename("webhook_sources_state", "hidden_state");
    await using running = await startIngress(world, { sourcePollMs: pollMs });
    const ask = (source: string) => post(running, source, { "content-type": "application/json" }, "{}");
    const answer = await ask("soon");
    expect([answer.status, answer.body["code"]]).toEqual([503, "WEBHOOK_SOURCE_UNAVAILABLE"]);
    expect((await ask("github")).status).toBe(401);
    await rename("hidden_state", "webhook_sources_state");
    await waitFor(async () => (await ask("soon")).status === 404, { what: "the sources to be read" });
  });
});
