import { loadSources, type SourcesInput } from "./load.ts";
import type { SourceMap } from "./source.ts";

export interface ReloadInput extends Omit<SourcesInput, "sources"> {
  /** WARREN_SOURCES. */
  readonly sources: string | undefined;
  /** WARREN_SOURCES_FILE: read instead, each time. */
  readonly sourcesFile: string | undefined;
}

export interface ConfiguredSources {
  readonly sources: SourceMap;
  /** The sources anew, if any file that they were read from has changed since. @throws WarrenError `CONFIG_INVALID`. */
  readonly reload: () => SourceMap | undefined;
}

/** Reads the configured sources, and again when a file of theirs changes: the list itself, or one that holds a secret. */
export function configuredSources({ env, sources, sourcesFile, readFile }: ReloadInput): ConfiguredSources {
  let known = new Map<string, string>();

  function load(): SourceMap {
    const read = new Map<string, string>();
    const noting = (path: string): string => {
      const text = readFile(path);
      read.set(path, text);
      return text;
    };
    const text = sourcesFile === undefined || sourcesFile === "" ? sources : noting(sourcesFile);
    const loaded = loadSources({ env, sources: text, readFile: noting });
    known = read;
    return loaded;
  }

  return {
    sources: load(),
    reload: () => ([...known].some(([path, text]) => readFile(path) !== text) ? load() : undefined),
  };
}
