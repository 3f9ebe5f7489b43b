import type { KeyObject } from "node:crypto";
import type { z } from "zod";
import { noOptions, timedOptions } from "../verify/options.ts";
import type { Ack, Verify } from "../verify/verdict.ts";
import { textKey } from "./secret.ts";

/** HTTP methods that a source may take. */
export const methods = ["GET", "HEAD", "POST", "PUT", "PATCH"] as const;

export type Method = (typeof methods)[number];

/** What can be said of a provider beside its verifier. What is left out is what most providers do. */
interface Manner {
  /** Media types taken unless the source says otherwise; `*` takes any. Default: JSON. */
  readonly contentTypes?: readonly string[];
  /** Default: `POST`. Challenges of some providers come by `GET` or `HEAD`; the verifier tells by the method. */
  readonly methods?: readonly Method[];
  /** Default: a receipt, 202. A verdict may answer otherwise. */
  readonly ack?: Ack;
}

interface ProviderDefinition<Options> extends Manner {
  /** Settings of a source of this provider, with their defaults. */
  readonly options: z.ZodType<Options>;
  readonly verifier: (options: Options) => Verify;
  /** How a secret is written; `undefined`: the provider has no secrets. Throws a `RangeError` that says what is wrong. */
  readonly secret: ((options: Options, text: string) => KeyObject) | undefined;
}

/** How a kind of sender is verified and answered. */
export interface Provider {
  readonly contentTypes: readonly string[];
  readonly methods: readonly Method[];
  readonly ack: Ack;
  readonly hasSecrets: boolean;
  /** Checks the options of a source (throws a `ZodError`) and makes its verifier. */
  readonly open: (options: unknown) => { readonly verify: Verify; readonly secretKey: (text: string) => KeyObject };
  readonly options: z.ZodType;
}

export const json = ["application/json", "application/*+json"] as const;
export const form = ["application/x-www-form-urlencoded"] as const;

/** A receipt under 200, for providers that take no other status for success. */
export const receipt200: Ack = { kind: "receipt", status: 200 };

export function defineProvider<Options>(definition: ProviderDefinition<Options>): Provider {
  const { secret } = definition;
  return {
    contentTypes: definition.contentTypes ?? json,
    methods: definition.methods ?? ["POST"],
    ack: definition.ack ?? { kind: "receipt", status: 202 },
    hasSecrets: secret !== undefined,
    options: definition.options,
    open: (raw) => {
      const options = definition.options.parse(raw);
      const secretKey = (text: string) => {
        if (secret === undefined) throw new RangeError("is of no use: the provider signs nothing");
        return secret(options, text);
      };
      return { verify: definition.verifier(options), secretKey };
    },
  };
}

interface Keyed extends Manner {
  /** How a secret is written. Default: as text. */
  readonly secret?: (text: string) => KeyObject;
}

/** A provider with options and with secrets that are written the same whatever the options. */
export function keyedProvider<Options>(
  options: z.ZodType<Options>,
  verifier: (options: Options) => Verify,
  { secret = textKey, ...manner }: Keyed = {},
): Provider {
  return defineProvider({ options, verifier, secret: (_options, text) => secret(text), ...manner });
}

/** A provider whose only option is how far its signed time may lie from ours; `toleranceSeconds` is the default. */
export function timedProvider(
  verifier: (options: { readonly toleranceSeconds: number }) => Verify,
  { toleranceSeconds = 300, ...manner }: Keyed & { readonly toleranceSeconds?: number } = {},
): Provider {
  return keyedProvider(timedOptions(toleranceSeconds), verifier, manner);
}

/** A provider without options. */
export function plainProvider(verify: Verify, manner: Keyed = {}): Provider {
  return keyedProvider(noOptions, () => verify, manner);
}
