import { setTimeout as delay } from "node:timers/promises";
import type { KeyRing } from "@warren/jobs";
import type { SourceStore } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { type OpenedRecord, openRecord } from "./record.ts";
import type { Source, SourceMap, Sources } from "./source.ts";

export interface LiveSourcesOptions {
  /** Those of variables and files. They win over a source of the database with the same name. */
  readonly configured: SourceMap;
  /** The configured ones anew, if a file that they are read from has changed. May throw: then they stay as they are. */
  readonly reload: () => SourceMap | undefined;
  readonly store: Pick<SourceStore, "version" | "load">;
  readonly keyRing: KeyRing | undefined;
  readonly log: Logger;
  /** How often the database and the files are asked for changes, in milliseconds. */
  readonly pollMs: number;
  readonly now: () => number;
}

/** The sources that this process serves: those of the configuration, and those of the database as they change. */
export interface LiveSources extends Sources, AsyncDisposable {
  configured(): SourceMap;
  /** Reads what has changed, now. Throws a `LedgerError`; what was known stays. */
  refresh(): Promise<void>;
  report(): SourcesReport;
  /** Reads once, and goes on following in the background. Never throws; a database that does not answer is not waited for longer than 2 s. */
  start(): Promise<void>;
}

const longestStartMs = 2_000;

/** How it stands with the sources of this process. */
interface SourcesReport {
  readonly enabled: number;
  readonly disabled: number;
  /** Enabled, and without a secret that opens, or not to be opened at all. */
  readonly failing: number;
  /** Of the database, hidden by a configured one of the same name. */
  readonly shadowed: number;
  /** When the database last said what there is, in milliseconds of Unix time; `undefined`: never. */
  readonly readAtMs: number | undefined;
}

export function createLiveSources(options: LiveSourcesOptions): LiveSources {
  const { reload, store, keyRing, log, pollMs, now } = options;
  let { configured } = options;
  let records: ReadonlyMap<string, OpenedRecord> = new Map();
  let served: ReadonlyMap<string, Source> = configured;
  let version = -1;
  let readAtMs: number | undefined;
  let started = false;
  let refreshing: Promise<void> = Promise.resolve();
  let following: Promise<void> | undefined;
  const stopping = new AbortController();
  const complain = onceInARow(log);

  function serve(): void {
    const next = new Map(configured);
    for (const [name, { source, record, problem }] of records) {
      if (configured.has(name)) {
        if (served.get(name) !== configured.get(name) || !started) {
          log.error(
            { source: name },
            "the configuration and the API both made this source: the configuration's is served",
          );
        }
        continue;
      }
      if (source !== undefined) next.set(name, source);
      if (problem !== undefined && record.enabled) log.error({ source: name, problem }, "a source has a problem");
    }
    served = next;
  }

  /** What has not changed stays the same object. */
  function opened(before: OpenedRecord | undefined, record: OpenedRecord["record"]): OpenedRecord {
    if (before !== undefined && before.record.id === record.id && before.record.revision === record.revision)
      return before;
    return openRecord(record, keyRing);
  }

  async function readDatabase(): Promise<void> {
    const current = (await store.version()) === version;
    readAtMs = now();
    if (current) return;
    const loaded = await store.load();
    const before = records;
    records = new Map(loaded.sources.map((record) => [record.name, opened(before.get(record.name), record)]));
    version = loaded.version;
    serve();
  }

  function readFiles(): void {
    try {
      const changed = reload();
      complain.over("files");
      if (changed === undefined) return;
      configured = changed;
      serve();
      log.info({ sources: configured.size }, "the configured sources have changed");
    } catch (error) {
      complain.of("files", error, "the configured sources cannot be read again and stay as they were");
    }
  }

  function refresh(): Promise<void> {
    // one after the other: who calls after a commit must see it, not an answer that was on its way before
    const next = refreshing.then(readDatabase, readDatabase);
    refreshing = next.catch(() => undefined);
    return next;
  }

  async function turn(): Promise<void> {
    readFiles();
    try {
      await refresh();
      complain.over("database");
    } catch (error) {
      complain.of("database", error, "the sources cannot be read from the database and stay as they were");
    }
  }

  const pause = (ms: number) => delay(ms, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);

  async function follow(onFirst: () => void): Promise<void> {
    while (!stopping.signal.aborted) {
      await turn();
      onFirst();
      await pause(pollMs);
    }
  }

  return {
    get: (name) => served.get(name),
    mayKnow: (name) => (started && version < 0) || (records.has(name) && !served.has(name)),
    configured: () => configured,
    refresh,
    report() {
      const all = [...records.values()];
      const shown = [...served.values()];
      const shadowed = all.filter(({ record }) => configured.has(record.name));
      const failing = all.filter((one) => one.problem !== undefined && one.record.enabled && !shadowed.includes(one));
      const unopened = failing.filter(({ source }) => source === undefined).length;
      return {
        enabled: shown.filter(({ enabled }) => enabled).length - (failing.length - unopened),
        disabled: shown.filter(({ enabled }) => !enabled).length,
        failing: failing.length,
        shadowed: shadowed.length,
        readAtMs,
      };
    },
    async start() {
      started = true;
      const first = Promise.withResolvers<void>();
      following ??= follow(first.resolve);
      await Promise.race([first.promise, pause(longestStartMs)]);
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await following;
      await refreshing;
    },
  };
}

/** An outage is worth one line, not one a second. */
function onceInARow(log: Logger) {
  const last = new Map<string, string>();
  return {
    of(what: string, error: unknown, sentence: string): void {
      const reason = error instanceof Error ? error.message : String(error);
      if (last.get(what) === reason) return;
      last.set(what, reason);
      log.error({ err: error }, sentence);
    },
    over(what: string): void {
      last.delete(what);
    },
  };
}
