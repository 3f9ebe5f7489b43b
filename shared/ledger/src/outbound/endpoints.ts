import type { Ledger } from "../ledger.ts";
import type { Row } from "../postgres/database.ts";
import type { RunSql } from "../postgres/sql.ts";
import { endpointStatements } from "./endpoints-sql.ts";

/** `v1`: HMAC-SHA256 under a shared secret. `v1a`: Ed25519. */
export type SecretKind = "v1" | "v1a";

export interface NewEndpointSecret {
  readonly id: string;
  readonly kind: SecretKind;
  /** Of `v1a`, as `whpk_…`. */
  readonly publicKey: string | undefined;
  readonly sealed: string;
}

export interface EndpointSecretRecord extends NewEndpointSecret {
  readonly createdAt: Date;
  /** Until when it signs beside newer ones; `undefined`: it is the current one. */
  readonly expiresAt: Date | undefined;
}

/** What of an endpoint its owner sets. */
export interface EndpointContent {
  readonly url: string;
  /** Patterns; none: every type. */
  readonly eventTypes: readonly string[];
  /** JSON that need not be sealed. */
  readonly settings: unknown;
  readonly sealed: string | undefined;
}

/** An endpoint as the ledger has it; secrets that sign now, newest first. */
export interface EndpointRecord extends EndpointContent {
  readonly id: string;
  readonly state:
    | { readonly kind: "enabled" }
    | { readonly kind: "disabled"; readonly reason: string; readonly at: Date };
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** The first of the failures that no success has followed. */
  readonly failingSince: Date | undefined;
  readonly lastSuccessAt: Date | undefined;
  readonly lastFailureAt: Date | undefined;
  readonly secrets: readonly EndpointSecretRecord[];
}

/** Endpoints of outbound webhooks. */
export interface EndpointStore {
  insert(id: string, content: EndpointContent, secret: NewEndpointSecret): Promise<void>;
  /** `false`: it is gone, or somebody changed it since `revision`. */
  update(id: string, revision: number, content: EndpointContent): Promise<boolean>;
  /** Also forgets its failures. `false`: there is none. */
  enable(id: string): Promise<boolean>;
  /** `false`: there is none, or it was disabled before. */
  disable(id: string, reason: string, run?: RunSql): Promise<boolean>;
  remove(id: string): Promise<boolean>;
  find(id: string): Promise<EndpointRecord | undefined>;
  /** Newest first. */
  list(page: { readonly limit: number; readonly before: string | undefined }): Promise<readonly EndpointRecord[]>;
  /** Those that may be delivered to, with the patterns of what they want. */
  enabled(): Promise<readonly { readonly id: string; readonly eventTypes: readonly string[] }[]>;
  /** The new secret signs at once, the others beside it for `overlapMs` more. `false`: there is no such endpoint. */
  rotate(id: string, secret: NewEndpointSecret, overlapMs: number): Promise<boolean>;
}

/** Endpoints over one ledger. Errors are the ledger's. */
export function createEndpointStore(ledger: Pick<Ledger, "query" | "transaction" | "table">): EndpointStore {
  const sql = endpointStatements(ledger.table);
  const changed = async (text: string, values: readonly unknown[], run: RunSql = ledger.query): Promise<boolean> =>
    (await run(text, values)).rows.length > 0;

  return {
    async insert(id, { url, eventTypes, settings, sealed }, secret) {
      await ledger.query(sql.insert, [
        id,
        url,
        eventTypes,
        JSON.stringify(settings),
        sealed ?? null,
        secret.id,
        secret.kind,
        secret.publicKey ?? null,
        secret.sealed,
      ]);
    },
    update: (id, revision, { url, eventTypes, settings, sealed }) =>
      changed(sql.update, [id, revision, url, eventTypes, JSON.stringify(settings), sealed ?? null]),
    enable: (id) => changed(sql.enable, [id]),
    disable: (id, reason, run) => changed(sql.disable, [id, reason], run),
    remove: (id) => changed(sql.remove, [id]),
    async find(id) {
      const { rows } = await ledger.query(sql.find, [id]);
      return rows.map(recordOf)[0];
    },
    async list({ limit, before }) {
      const { rows } = await ledger.query(sql.list, [before ?? null, limit]);
      return rows.map(recordOf);
    },
    async enabled() {
      const { rows } = await ledger.query(sql.enabled, []);
      return rows.map((row) => ({ id: String(row["id"]), eventTypes: row["event_types"] as readonly string[] }));
    },
    rotate: (id, secret, overlapMs) =>
      ledger.transaction(async (run) => {
        if (!(await changed(sql.lock, [id], run))) return false;
        await run(sql.expireSecrets, [id, overlapMs]);
        await run(sql.addSecret, [secret.id, id, secret.kind, secret.publicKey ?? null, secret.sealed]);
        await run(sql.forgetSecrets, [id]);
        return true;
      }),
  };
}

function recordOf(row: Row): EndpointRecord {
  const secrets = row["secrets"] as readonly Row[];
  return {
    id: String(row["id"]),
    url: String(row["url"]),
    eventTypes: row["event_types"] as readonly string[],
    settings: row["settings"],
    sealed: textOf(row["sealed"]),
    state:
      row["state"] === "disabled"
        ? { kind: "disabled", reason: String(row["disabled_reason"]), at: row["disabled_at"] as Date }
        : { kind: "enabled" },
    revision: Number(row["revision"]),
    createdAt: row["created_at"] as Date,
    updatedAt: row["updated_at"] as Date,
    failingSince: dateOf(row["failing_since"]),
    lastSuccessAt: dateOf(row["last_success_at"]),
    lastFailureAt: dateOf(row["last_failure_at"]),
    secrets: secrets.map((secret) => ({
      id: String(secret["id"]),
      kind: secret["kind"] as SecretKind,
      publicKey: textOf(secret["publicKey"]),
      sealed: String(secret["sealed"]),
      createdAt: new Date(String(secret["createdAt"])),
      expiresAt: typeof secret["expiresAt"] === "string" ? new Date(secret["expiresAt"]) : undefined,
    })),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function dateOf(value: unknown): Date | undefined {
  return value instanceof Date ? value : undefined;
}
