import { WarrenError } from "@warren/contracts";
import { describe, expect, test } from "vitest";
import { loadSources } from "../src/sources/load.ts";
import { contentTypeRule } from "../src/sources/source.ts";
import { githubHeaders } from "./fixture.ts";
import { request } from "./signed.ts";

function load(env: Record<string, string>, sources?: unknown, files: Record<string, string> = {}) {
  return loadSources({
    env,
    sources: sources === undefined ? undefined : typeof sources === "string" ? sources : JSON.stringify(sources),
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: ${path}`);
      return text;
    },
  });
}

/** Which of these secrets the source takes. */
function taken(source: string, secrets: readonly string[], sources: ReturnType<typeof loadSources>): readonly string[] {
  const found = sources.get(source);
  return secrets.filter((secret) => {
    const signed = request({ headers: githubHeaders("{}", "d", secret), body: "{}" });
    return found?.verify(signed, found.secrets, Date.now()).kind === "verified";
  });
}

describe("sources", () => {
  test("come from JSON, with secrets written out, in files and in variables", () => {
    const secrets = [
      "one",
      { file: "/run/two" },
      { env: "THREE" },
      { value: "past", notAfter: "2020-01-01T00:00:00Z" },
    ];
    const sources = load({ THREE: "three" }, { shop: { provider: "github", secrets } }, { "/run/two": "two\r\n" });
    expect(taken("shop", ["one", "two", "three", "past", "four"], sources)).toEqual(["one", "two", "three"]);
  });

  test("come one a variable, by provider alone or as JSON, with secrets in a variable or a file", () => {
    const sources = load(
      {
        WARREN_SOURCE_GITHUB: "github",
        WARREN_SOURCE_GITHUB_SECRET: "new, old",
        WARREN_SOURCE_SHOP_EU: '{"provider":"github","maxBodyBytes":10}',
        WARREN_SOURCE_SHOP_EU_SECRET_FILE: "/run/shop",
        WARREN_SOURCE_YOOKASSA: "yookassa",
      },
      undefined,
      { "/run/shop": "first\nsecond\n" },
    );
    expect([...sources.keys()]).toEqual(["github", "shop-eu", "yookassa"]);
    expect(taken("github", ["new", "old", "new, old"], sources)).toEqual(["new", "old"]);
    expect(taken("shop-eu", ["first", "second"], sources)).toEqual(["first", "second"]);
    expect([sources.get("github")?.maxBodyBytes, sources.get("shop-eu")?.maxBodyBytes]).toEqual([1_048_576, 10]);
    expect([sources.get("github")?.ack.status, sources.get("yookassa")?.ack.status]).toEqual([202, 200]);
  });

  test.for<{ mistake: string; env: Record<string, string>; sources?: unknown; says: string }>([
    {
      mistake: "the JSON is broken",
      env: {},
      sources: '{"github":{"secrets":["s3cret"]}',
      says: "WARREN_SOURCES: is not valid JSON",
    },
    { mistake: "the provider is unknown", env: { WARREN_SOURCE_A: "gihub" }, says: "WARREN_SOURCE_A: " },
    { mistake: "there is no secret", env: { WARREN_SOURCE_A: "github" }, says: "set WARREN_SOURCE_A_SECRET" },
    {
      mistake: "the secret is empty",
      env: {},
      sources: { a: { provider: "github", secrets: [" "] } },
      says: "secret 1 of a is empty",
    },
    {
      mistake: "the secret is not base64",
      env: { WARREN_SOURCE_A: "standard-webhooks", WARREN_SOURCE_A_SECRET: "whsec_s3cret!" },
      says: "is not base64",
    },
    {
      mistake: "a secret's variable is not set",
      env: {},
      sources: { a: { provider: "github", secrets: [{ env: "GONE" }] } },
      says: "GONE",
    },
    {
      mistake: "a secret's file is missing",
      env: {},
      sources: { a: { provider: "github", secrets: [{ file: "/gone" }] } },
      says: "/gone",
    },
    {
      mistake: "a secret is given to a provider that has none",
      env: { WARREN_SOURCE_A: "yookassa", WARREN_SOURCE_A_SECRET: "s3cret" },
      says: "signs nothing",
    },
    {
      mistake: "a setting is unknown",
      env: {},
      sources: { a: { provider: "github", secrets: ["s3cret"], maxBodySize: 1 } },
      says: "maxBodySize",
    },
    {
      mistake: "an option is unknown",
      env: {},
      sources: { a: { provider: "yookassa", options: { adresses: [] } } },
      says: "adresses",
    },
    {
      mistake: "an address is none",
      env: {},
      sources: { a: { provider: "yookassa", options: { addresses: ["10.0.0.0/33"] } } },
      says: "10.0.0.0/33",
    },
    { mistake: "the name is none", env: {}, sources: { A_b: { provider: "yookassa" } }, says: "lower-case" },
    { mistake: "only the secret is set", env: { WARREN_SOURCE_A_SECRET: "s3cret" }, says: "give the provider" },
    {
      mistake: "a source is defined twice",
      env: { WARREN_SOURCE_A: "yookassa" },
      sources: { a: { provider: "yookassa" } },
      says: "WARREN_SOURCES defines too",
    },
    {
      mistake: "a secret is good for no time",
      env: {},
      sources: {
        a: {
          provider: "github",
          secrets: [{ value: "s3cret", notBefore: "2026-02-01T00:00:00Z", notAfter: "2026-01-01T00:00:00Z" }],
        },
      },
      says: "notAfter",
    },
  ])("are refused at start when $mistake, in words that hold no secret", ({ env, sources, says }) => {
    let thrown: unknown;
    try {
      load(env, sources);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(WarrenError);
    const { code, message } = thrown as WarrenError;
    expect(code).toBe("CONFIG_INVALID");
    expect(message).toContain(says);
    expect(message).not.toContain("s3cret");
  });
});

describe("the content types of a source", () => {
  const rule = contentTypeRule(["application/json", "application/*+json", "text/*"]);
  test.for([
    ["application/json", true],
    ["Application/JSON; charset=utf-8", true],
    ["application/cloudevents+json", true],
    ["text/plain", true],
    ["application/+json", false],
    ["application/jsonx", false],
    ["application/x-www-form-urlencoded", false],
    ["", false],
    [undefined, true],
  ] as const)("%s: %s", ([header, taken]) => {
    expect(rule(header)).toBe(taken);
    expect(rule(header)).toBe(taken);
  });
});
