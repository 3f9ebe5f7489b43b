import { createSecureContext } from "node:tls";
import {
  deliverWebhookJob,
  type EndpointSecrets,
  type EndpointSettings,
  endpointBreaker,
  endpointChange,
  endpointSecrets,
  endpointSettings,
  newEndpoint,
  newEndpointSecret,
} from "@warren/contracts";
import { createEndpointStore, type EndpointContent, type EndpointRecord, type Ledger, newId } from "@warren/ledger";
import { z } from "zod";
import { parseOptions } from "../options.ts";
import type { KeyRing } from "../payloads/key-ring.ts";
import { openText, sealText } from "../payloads/sealed-text.ts";
import { EndpointError } from "./errors.ts";
import { type MadeSecret, makeSecret, openSecret, type SigningKey } from "./secrets.ts";

/** An endpoint without what is sealed. */
export interface Endpoint
  extends Pick<
    EndpointRecord,
    | "id"
    | "url"
    | "eventTypes"
    | "state"
    | "createdAt"
    | "updatedAt"
    | "failingSince"
    | "lastSuccessAt"
    | "lastFailureAt"
  > {
  readonly settings: EndpointSettings;
  readonly headerNames: readonly string[];
  readonly hasProxy: boolean;
  readonly hasClientCertificate: boolean;
  /** Those that sign now, newest first. */
  readonly secrets: readonly Omit<EndpointRecord["secrets"][number], "sealed">[];
}

/** What it takes to deliver: everything opened. */
export interface OpenEndpoint {
  readonly id: string;
  readonly revision: number;
  readonly url: string;
  readonly settings: EndpointSettings;
  readonly sealed: EndpointSecrets;
  readonly keys: readonly SigningKey[];
}

export interface CreatedEndpoint {
  readonly endpoint: Endpoint;
  /** Shown this once. */
  readonly secret: Pick<MadeSecret, "secret" | "publicKey">;
}

/** Endpoints of outbound webhooks. An unknown id throws EndpointError `ENDPOINT_UNKNOWN`. */
export interface Endpoints {
  /**
   * @throws JobOptionError `JOB_OPTION_INVALID`, `JOB_OPTION_UNKNOWN`; EndpointError `ENDPOINT_CERTIFICATE_INVALID`; PayloadError
   * `PAYLOAD_KEY_RING_MISSING`: secrets are kept sealed or not at all.
   */
  create(given: z.input<typeof newEndpoint>): Promise<CreatedEndpoint>;
  get(id: string): Promise<Endpoint>;
  /** Newest first; `before` is the id of the last one of the page before. */
  list(page: { readonly limit: number; readonly before?: string | undefined }): Promise<readonly Endpoint[]>;
  /** What is left out stays. @throws as `create`, and EndpointError `ENDPOINT_CHANGED` when somebody else changed it meanwhile. */
  update(id: string, change: z.input<typeof endpointChange>): Promise<Endpoint>;
  /** Nothing is sent to it from now on; deliveries that come for it fail with `ENDPOINT_DISABLED`, and can be retried later. */
  disable(id: string, reason?: string): Promise<Endpoint>;
  /** Sends again, and forgets how long it failed. */
  enable(id: string): Promise<Endpoint>;
  remove(id: string): Promise<void>;
  /** A new secret signs from now on; those before it sign beside it for `overlapMs` more. */
  rotate(id: string, given: z.input<typeof newEndpointSecret>, overlapMs: number): Promise<CreatedEndpoint>;
  /** Everything it takes to deliver; `undefined`: there is none; `"disabled"`. @throws PayloadError when it does not open. */
  open(id: string): Promise<OpenEndpoint | "disabled" | undefined>;
}

export interface EndpointsOptions {
  readonly ledger: Pick<Ledger, "query" | "transaction" | "table" | "limits" | "reportBreaker">;
  readonly keyRing: KeyRing | undefined;
}

/** What is kept in plain about what is sealed. */
const sealedFacts = z.object({
  headerNames: z.array(z.string()),
  hasProxy: z.boolean(),
  hasClientCertificate: z.boolean(),
});

/** Endpoints over one ledger: contents are checked, secrets sealed, limits of the queue kept in step. */
export function createEndpoints({ ledger, keyRing }: EndpointsOptions): Endpoints {
  const store = createEndpointStore(ledger);

  async function record(id: string): Promise<EndpointRecord> {
    const found = await store.find(id);
    if (found === undefined) throw unknown(id);
    return found;
  }

  const opened = (id: string, sealed: string | undefined): EndpointSecrets =>
    endpointSecrets.parse(sealed === undefined ? {} : JSON.parse(openText(ownerOf(id), sealed, keyRing)));

  function contentOf(id: string, given: Omit<z.output<typeof newEndpoint>, "secret">): EndpointContent {
    const secrets = endpointSecrets.parse(given);
    checkCertificate(secrets);
    return {
      url: given.url,
      eventTypes: given.eventTypes,
      settings: { ...endpointSettings.parse(given), ...factsOf(secrets) },
      sealed: isEmpty(secrets) ? undefined : sealText(ownerOf(id), JSON.stringify(secrets), keyRing),
    };
  }

  async function limit(id: string, { rate, concurrency }: EndpointSettings): Promise<void> {
    await ledger.limits.changeKey(deliverWebhookJob.queue, id, {
      concurrency,
      rate: rate === null ? null : { limit: rate.limit, perMs: rate.perMs, burst: rate.burst ?? rate.limit },
    });
  }

  /** What is held by an endpoint that takes nothing more goes on, and ends. */
  const letGo = (id: string): Promise<void> =>
    ledger.reportBreaker({ name: endpointBreaker(id), state: "closed", reporter: "endpoint disabled" });

  return {
    async create(options) {
      const { secret, ...given } = parseOptions("endpoints.create", newEndpoint, options);
      const id = newId();
      const made = makeSecret(secret, { endpointId: id, id: newId(), keyRing });
      await store.insert(id, contentOf(id, given), made.record);
      const found = await record(id);
      const endpoint = view(found);
      if (endpoint.settings.rate !== null || endpoint.settings.concurrency !== null) await limit(id, endpoint.settings);
      return { endpoint, secret: made };
    },
    get: async (id) => view(await record(id)),
    list: async ({ limit: most, before }) => (await store.list({ limit: most, before })).map(view),
    async update(id, options) {
      const change = parseOptions("endpoints.update", endpointChange, options);
      const found = await record(id);
      const before = {
        url: found.url,
        eventTypes: [...found.eventTypes],
        ...endpointSettings.parse(found.settings),
        ...opened(id, found.sealed),
      };
      const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
      if (!(await store.update(id, found.revision, contentOf(id, { ...before, ...given })))) {
        await record(id);
        throw new EndpointError("ENDPOINT_CHANGED", `endpoint ${id} was changed by somebody else at the same time`);
      }
      const endpoint = view(await record(id));
      await limit(id, endpoint.settings);
      return endpoint;
    },
    async disable(id, reason = "manual") {
      if (!(await store.disable(id, reason))) await record(id);
      await letGo(id);
      return view(await record(id));
    },
    async enable(id) {
      if (!(await store.enable(id))) throw unknown(id);
      await letGo(id);
      return view(await record(id));
    },
    async remove(id) {
      if (!(await store.remove(id))) throw unknown(id);
      await ledger.limits.changeKey(deliverWebhookJob.queue, id, { concurrency: null, rate: null });
      await letGo(id);
    },
    async rotate(id, options, overlapMs) {
      const given = parseOptions("endpoints.rotate", newEndpointSecret, options);
      const made = makeSecret(given, { endpointId: id, id: newId(), keyRing });
      if (!(await store.rotate(id, made.record, overlapMs))) throw unknown(id);
      return { endpoint: view(await record(id)), secret: made };
    },
    async open(id) {
      const found = await store.find(id);
      if (found === undefined) return undefined;
      if (found.state.kind === "disabled") return "disabled";
      return {
        id,
        revision: found.revision,
        url: found.url,
        settings: endpointSettings.parse(found.settings),
        sealed: opened(id, found.sealed),
        keys: found.secrets.map((secret) => openSecret(secret, { endpointId: id, id: secret.id, keyRing })),
      };
    },
  };
}

/** Opens nothing, so that whoever has no keys can look, too. */
function view(found: EndpointRecord): Endpoint {
  return {
    ...found,
    ...sealedFacts.parse(found.settings),
    settings: endpointSettings.parse(found.settings),
    secrets: found.secrets.map(({ sealed: _sealed, ...secret }) => secret),
  };
}

function checkCertificate({ clientCertificate }: EndpointSecrets): void {
  if (clientCertificate === null) return;
  const { certificate, key, passphrase, authority } = clientCertificate;
  try {
    createSecureContext({ cert: certificate, key, passphrase, ca: authority });
  } catch (cause) {
    // OpenSSL's message names the part, and holds nothing of it
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new EndpointError("ENDPOINT_CERTIFICATE_INVALID", `the client certificate cannot be used: ${why}`, { cause });
  }
}

function factsOf({ headers, proxyUrl, clientCertificate }: EndpointSecrets): z.output<typeof sealedFacts> {
  return {
    headerNames: Object.keys(headers),
    hasProxy: proxyUrl !== null,
    hasClientCertificate: clientCertificate !== null,
  };
}

function isEmpty({ headers, proxyUrl, clientCertificate }: EndpointSecrets): boolean {
  return Object.keys(headers).length === 0 && proxyUrl === null && clientCertificate === null;
}

function ownerOf(id: string): string {
  return `webhook-endpoint/${id}`;
}

function unknown(id: string): EndpointError {
  return new EndpointError("ENDPOINT_UNKNOWN", `there is no endpoint ${id}`);
}
