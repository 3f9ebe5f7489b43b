import { sealText } from "@warren/jobs";
import type { SourceRecord } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";
import { waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { measureSources } from "../src/sources/gauges.ts";
import { createLiveSources, type LiveSources } from "../src/sources/live.ts";
import { loadSources } from "../src/sources/load.ts";
import { configuredSources } from "../src/sources/reload.ts";
import { githubHeaders } from "./fixture.ts";
import { newKeyRing } from "./management.ts";
import { request } from "./signed.ts";

const keyRing = newKeyRing();
const none = loadSources({ env: {}, sources: undefined, readFile: () => "" });

/** What the database would answer; `fails` as long as it is away. */
class Database {
  changes = 0;
  loads = 0;
  fails = false;
  sources: readonly SourceRecord[] = [];

  set(...sources: readonly SourceRecord[]): void {
    this.sources = sources;
    this.changes += 1;
  }
  async version(): Promise<number> {
    if (this.fails) throw new Error("away");
    return this.changes;
  }
  async load() {
    this.loads += 1;
    return { version: this.changes, sources: this.sources };
  }
}

function recordOf(name: string, revision: number, secret: string, settings: object = {}): SourceRecord {
  const at = new Date(0);
  const sealed = sealText(`webhook-source/id-${name}/secret/s-1`, secret, keyRing);
  const secrets = [{ id: "s-1", sealed, notBefore: undefined, notAfter: undefined, createdAt: at }];
  const head = { id: `id-${name}`, name, provider: "github", enabled: true };
  return { ...head, settings, revision, createdAt: at, updatedAt: at, secrets };
}

function taken(sources: Pick<LiveSources, "get">, name: string, secrets: readonly string[]): readonly string[] {
  const source = sources.get(name);
  return secrets.filter((secret) => {
    const signed = request({ headers: githubHeaders("{}", "d", secret), body: "{}" });
    return source?.verify(signed, source.secrets, Date.now()).kind === "verified";
  });
}

function live(database: Database, more: Partial<Parameters<typeof createLiveSources>[0]> = {}) {
  const lines: string[] = [];
  const log = createLogger({
    service: "test",
    level: "error",
    destination: { write: (line: string) => lines.push(line) },
  });
  const sources = createLiveSources({
    configured: none,
    reload: () => undefined,
    store: database,
    keyRing,
    log,
    pollMs: 2,
    now: () => 5_000,
    ...more,
  });
  return { sources, lines };
}

describe("sources of the database", () => {
  test("are read when their version grows, and what did not change stays as it is", async () => {
    const database = new Database();
    const limited = { rateLimit: { perSecond: 1, burst: 1 } };
    database.set(recordOf("a", 1, "one", limited), recordOf("b", 1, "bee"));
    const { sources } = live(database);
    await sources.refresh();
    await sources.refresh();
    expect(database.loads).toBe(1);
    const b = sources.get("b");
    expect(sources.get("a")?.limit).toEqual({ perSecond: 1, burst: 1 });

    database.set(recordOf("a", 2, "two", limited), recordOf("b", 1, "bee"));
    await sources.refresh();
    expect(taken(sources, "a", ["one", "two"])).toEqual(["two"]);
    expect(sources.get("b")).toBe(b);

    database.set(recordOf("a", 3, "two", { rateLimit: { perSecond: 2 } }));
    await sources.refresh();
    expect(sources.get("a")?.limit).toEqual({ perSecond: 2, burst: 2 });
    expect(sources.get("b")).toBeUndefined();
  });

  test("stay as they were while the database is away, are said to be unread before that, and one line tells it", async () => {
    const database = new Database();
    database.fails = true;
    const { sources, lines } = live(database);
    await sources.start();
    expect(sources.mayKnow("a")).toBe(true);
    database.set(recordOf("a", 1, "one"));
    database.fails = false;
    await waitFor(() => sources.get("a") !== undefined, { what: "the source" });
    database.fails = true;
    database.set();
    await waitFor(() => lines.length === 2, { what: "the second outage to be told" });
    expect(taken(sources, "a", ["one"])).toEqual(["one"]);
    expect([sources.mayKnow("a"), sources.mayKnow("b")]).toEqual([false, false]);
    await sources[Symbol.asyncDispose]();
    expect(lines).toHaveLength(2);
  });

  test("that cannot be opened are not unknown", async () => {
    const database = new Database();
    database.set(
      { ...recordOf("new", 1, "x"), provider: "of-tomorrow" },
      { ...recordOf("odd", 1, "x"), settings: { maxBodyBytes: "many" } },
    );
    const { sources, lines } = live(database);
    await sources.refresh();
    expect(["new", "odd", "other"].map((name) => sources.mayKnow(name))).toEqual([true, true, false]);
    expect(lines.join("\n")).toContain("of-tomorrow");
  });

  test("are counted by how they stand, for alerts", async () => {
    const metrics = createMetrics({ service: "ingress", version: "0" });
    const database = new Database();
    database.set(
      recordOf("good", 1, "x"),
      { ...recordOf("off", 1, "x"), enabled: false },
      { ...recordOf("new", 1, "x"), provider: "of-tomorrow" },
      { ...recordOf("sealed", 1, "x"), id: "another-id" },
      recordOf("hub", 1, "x"),
    );
    const env = { WARREN_SOURCE_HUB: "github", WARREN_SOURCE_HUB_SECRET: "of-a-variable" };
    const configured = loadSources({ env, sources: undefined, readFile: () => "" });
    const { sources } = live(database, { configured });
    measureSources(metrics, sources, () => 12_500);
    expect(await metrics.text()).not.toContain("warren_webhook_sources_read_age_seconds{");
    await sources.refresh();
    const lines = (await metrics.text()).split("\n").filter((line) => line.startsWith("warren_webhook_sources"));
    expect(lines.map((line) => line.replace(/service="ingress",?/, "").replace("{}", ""))).toEqual([
      'warren_webhook_sources{state="enabled"} 2',
      'warren_webhook_sources{state="disabled"} 1',
      'warren_webhook_sources{state="failing"} 2',
      'warren_webhook_sources{state="shadowed"} 1',
      "warren_webhook_sources_read_age_seconds 7.5",
    ]);
  });
});

describe("sources of files", () => {
  test("are read again when a file of theirs changes, and stay as they were when it cannot be read", async () => {
    const files: Record<string, string> = {
      "/sources.json": JSON.stringify({ shop: { provider: "github", secrets: [{ file: "/secret" }] } }),
      "/secret": "one\n",
    };
    const readFile = (path: string): string => {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT ${path}`);
      return text;
    };
    const { sources: configured, reload } = configuredSources({
      env: { WARREN_SOURCE_HUB: "github", WARREN_SOURCE_HUB_SECRET: "of-a-variable" },
      sources: "the text that was read at start",
      sourcesFile: "/sources.json",
      readFile,
    });
    const { sources, lines } = live(new Database(), { configured, reload });
    await sources.start();
    files["/secret"] = "two\n";
    await waitFor(() => taken(sources, "shop", ["one", "two"]).join() === "two", { what: "the new secret" });
    expect(taken(sources, "hub", ["of-a-variable"])).toHaveLength(1);
    delete files["/secret"];
    await waitFor(() => lines.length === 1, { what: "the missing file to be told" });
    files["/secret"] = "three";
    files["/sources.json"] = "{";
    await waitFor(() => lines.length === 2, { what: "the broken file to be told" });
    expect(taken(sources, "shop", ["two"])).toEqual(["two"]);
    files["/sources.json"] = JSON.stringify({ store: { provider: "github", secrets: [{ file: "/secret" }] } });
    await waitFor(() => taken(sources, "store", ["three"]).length === 1, { what: "the new list" });
    expect(sources.get("shop")).toBeUndefined();
    await sources[Symbol.asyncDispose]();
  });
});
