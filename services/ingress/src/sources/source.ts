import type { SourceTraits } from "@warren/contracts";
import type { SourceRate } from "@warren/ledger";
import type { Ack, Secret, Verify } from "../verify/verdict.ts";
import type { Method } from "./provider.ts";
import type { ProviderName } from "./providers.ts";

/** One configured sender of webhooks, ready to judge requests. */
export interface Source {
  readonly name: string;
  readonly provider: ProviderName;
  readonly verify: Verify;
  readonly secrets: readonly Secret[];
  /** Largest body in bytes, as received. */
  readonly maxBodyBytes: number;
  /** Whether a `Content-Type` header is one that the source takes. A request without the header is taken: it claims nothing. */
  readonly takesContentType: (header: string | undefined) => boolean;
  readonly contentTypes: readonly string[];
  readonly methods: readonly Method[];
  /** A disabled source refuses everything and keeps what it refused. */
  readonly enabled: boolean;
  /** Authentic events that it takes, over all processes; `undefined`: any number. */
  readonly limit: SourceRate | undefined;
  readonly rateLimit: SourceTraits["rateLimit"];
  /** The provider's options as configured. */
  readonly options: SourceTraits["options"];
  /** What an accepted or duplicate request is answered with, unless its verdict says otherwise. */
  readonly ack: Ack;
}

export type SourceMap = ReadonlyMap<string, Source>;

/** The sources that a process knows now. */
export interface Sources {
  get(name: string): Source | undefined;
  /**
   * Whether a name that `get` does not find may be a source all the same: those of the database were not read yet, or this one cannot be
   * opened. Its sender is then to come again.
   */
  mayKnow(name: string): boolean;
}

/** Spellings of `Content-Type` whose verdict is remembered; a sender uses one or two. */
const rememberedSpellings = 100;

/** `patterns`: media types, `type/*`, `application/*+json`, or `*` for any. */
export function contentTypeRule(patterns: readonly string[]): (header: string | undefined) => boolean {
  if (patterns.includes("*")) return () => true;
  const rules = patterns.map((pattern) => {
    const [start = "", end = ""] = pattern.toLowerCase().split("*");
    const wild = pattern.includes("*");
    return (type: string) =>
      wild ? type.length > start.length + end.length && type.startsWith(start) && type.endsWith(end) : type === start;
  });
  const remembered = new Map<string, boolean>();
  return (header) => {
    if (header === undefined) return true;
    let takes = remembered.get(header);
    if (takes === undefined) {
      const type = (header.split(";")[0] ?? "").trim().toLowerCase();
      takes = rules.some((rule) => rule(type));
      if (remembered.size >= rememberedSpellings) remembered.clear();
      remembered.set(header, takes);
    }
    return takes;
  };
}
