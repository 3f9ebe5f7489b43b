import { eventType } from "@warren/contracts";
import { z } from "zod";
import { count, parseOptions, unexpected } from "../options.ts";
import { createUpcast, type Upcast, type Upcasters } from "../upcast.ts";

/** Options of an event definition, as written by its author. */
export interface EventDefinitionOptions<Type extends string, Schema extends z.ZodType> {
  /** What happened, in the past tense, most general word first: `orders.created`. The broker routes by it. */
  readonly type: Type;
  /** Version of the data's shape; raise it with a change that old subscribers cannot read. Default 1. */
  readonly version?: number;
  /** Shape of the data. It travels as JSON: the schema must accept what `JSON.parse(JSON.stringify(data))` gives. */
  readonly schema: Schema;
  /** Brings data of older versions to this one, one version a step: `{ 1: (v1) => v2 }`. Default: only this version is read. */
  readonly upcast?: Upcasters;
  /** A URI of the schema, sent as `cloudEvents_dataschema`. Default none. */
  readonly dataSchema?: string;
}

/** An event definition, shared by those who publish it and those who subscribe. Make it with `defineEvent`. */
export interface EventDefinition<Type extends string = string, Schema extends z.ZodType = z.ZodType> {
  readonly type: Type;
  readonly version: number;
  readonly schema: Schema;
  readonly upcast: Upcast;
  readonly dataSchema: string | undefined;
}

/** What a publisher gives. */
export type EventDataOf<Definition extends EventDefinition> = z.input<Definition["schema"]>;

const definitionOptions = z.strictObject({
  type: eventType,
  version: count.default(1),
  schema: z.custom<z.ZodType>((value) => value instanceof z.core.$ZodType, "expected a zod schema"),
  upcast: z
    .custom<Upcasters>((value) => typeof value === "object" && value !== null, "expected functions by version")
    .optional(),
  dataSchema: z.string().min(1).max(500).optional(),
});

/**
 * Defines an event: a fact that any number of services may subscribe to.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
 */
export function defineEvent<const Type extends string, Schema extends z.ZodType>(
  options: EventDefinitionOptions<Type, Schema>,
): EventDefinition<Type, Schema> {
  const { version, dataSchema, upcast: steps } = parseOptions("defineEvent", definitionOptions, options);
  const upcast = createUpcast({ what: `event ${options.type}`, version, upcast: steps });
  return Object.freeze({ type: options.type, version, schema: options.schema, upcast, dataSchema });
}

/** Whether a topic exchange would route `type` to a binding of `pattern`: `*` is one word, `#` any number of words. Pure. */
export function matchesPattern(pattern: string, type: string): boolean {
  return matchesWords(pattern.split("."), type.split("."));
}

function matchesWords(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return words.length === 0;
  if (first === "#") return matchesWords(rest, words) || (words.length > 0 && matchesWords(pattern, words.slice(1)));
  const [word, ...others] = words;
  return word !== undefined && (first === "*" || first === word) && matchesWords(rest, others);
}

/** For callers without types. @throws JobOptionError `JOB_OPTION_INVALID` for anything but what `defineEvent` made. */
export function assertEvent(what: string, given: unknown): void {
  if (typeof given === "object" && given !== null && "type" in given && "schema" in given) return;
  throw unexpected(what, "event", "expected an event definition, made by defineEvent", given);
}
