import type { SourceView } from "@warren/contracts";
import type { SourceRecord } from "@warren/ledger";
import { type Answer, isCurrent } from "../verify/verdict.ts";
import { providers } from "./providers.ts";
import { isProvider, type OpenedRecord } from "./record.ts";
import { samplers } from "./samples.ts";
import { maskOptions } from "./sealed-options.ts";
import type { Source } from "./source.ts";

const iso = (date: Date | undefined): string | null => date?.toISOString() ?? null;
const moment = (ms: number): string | null => (Number.isFinite(ms) ? new Date(ms).toISOString() : null);

/** A source of the configuration as people see it. */
export function configuredView(source: Source, nowMs: number): SourceView {
  const current = source.secrets.some((secret) => isCurrent(secret, nowMs));
  return {
    ...common(source),
    origin: "configuration",
    problem: current || !providers[source.provider].hasSecrets ? null : "none of its secrets is current",
    secrets: source.secrets.map((secret) => ({
      id: null,
      current: isCurrent(secret, nowMs),
      notBefore: moment(secret.notBeforeMs),
      notAfter: moment(secret.notAfterMs),
      createdAt: null,
    })),
    revision: null,
    createdAt: null,
    updatedAt: null,
  };
}

/** A source of the database as people see it. `shadowed`: the configuration has one of the same name. */
export function recordView({ record, source, problem }: OpenedRecord, nowMs: number, shadowed: boolean): SourceView {
  const secrets = secretViews(record, nowMs);
  const needsSecret = isProvider(record.provider) && providers[record.provider].hasSecrets;
  const unsealed =
    needsSecret && !secrets.some(({ current }) => current) ? "none of its secrets is current" : undefined;
  const shadow = shadowed ? "the configuration has a source of this name, which is served instead" : undefined;
  return {
    ...(source === undefined ? unopened(record) : common(source)),
    origin: "api",
    enabled: record.enabled,
    problem: shadow ?? problem ?? unsealed ?? null,
    secrets,
    revision: record.revision,
    createdAt: record.createdAt.toISOString(),
    updatedAt: record.updatedAt.toISOString(),
  };
}

function secretViews({ secrets }: SourceRecord, nowMs: number): SourceView["secrets"] {
  return secrets.map(({ id, notBefore, notAfter, createdAt }) => ({
    id,
    current: nowMs >= (notBefore?.getTime() ?? nowMs) && nowMs <= (notAfter?.getTime() ?? nowMs),
    notBefore: iso(notBefore),
    notAfter: iso(notAfter),
    createdAt: iso(createdAt),
  }));
}

function common(source: Source) {
  const { name, provider, rateLimit } = source;
  return {
    name,
    provider,
    enabled: source.enabled,
    path: `/webhooks/${name}`,
    methods: [...source.methods],
    contentTypes: [...source.contentTypes],
    maxBodyBytes: source.maxBodyBytes,
    rateLimit: rateLimit === undefined ? null : rateLimit,
    answer: answerView(source.ack),
    options: maskOptions(provider, source.options),
    testable: samplers[provider] !== undefined,
  };
}

function answerView(ack: Source["ack"]): SourceView["answer"] {
  const written: Answer | undefined = ack.kind === "answer" ? ack : undefined;
  return { status: ack.status, contentType: written?.contentType ?? null, body: written?.body ?? null };
}

/** What is left to say of a source that cannot be opened. */
function unopened({ name, provider }: SourceRecord) {
  return {
    name,
    provider,
    path: `/webhooks/${name}`,
    methods: [],
    contentTypes: [],
    maxBodyBytes: 0,
    rateLimit: null,
    answer: { status: 503, contentType: null, body: null },
    options: {},
    testable: false,
  };
}
