import { type SourceTest, type SourceTestResult, WarrenError } from "@warren/contracts";
import { isCurrent } from "../verify/verdict.ts";
import type { Sample } from "./sample-parts.ts";
import { samplers } from "./samples.ts";
import { masked } from "./sealed-options.ts";
import type { Source } from "./source.ts";

/** A request to the ingress's own HTTP surface, as light-my-request takes it. */
interface InjectedRequest {
  readonly method: "POST";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: string;
}

export interface TestEventOptions {
  /** The ingress itself: all that a webhook from outside goes through, a test event goes through. */
  readonly inject: (request: InjectedRequest) => Promise<{ readonly statusCode: number; readonly body: string }>;
  readonly newId: () => string;
  readonly now: () => number;
}

/**
 * Sends an event that its provider could have sent, signed with the newest current secret of the source. It is real: it is verified, kept,
 * routed, and its jobs run.
 * @throws WarrenError `SOURCE_TEST_UNSUPPORTED`, `WEBHOOK_SECRETS_NOT_CURRENT`.
 */
export async function sendTestEvent(
  source: Source,
  { type, payload }: SourceTest,
  { inject, newId, now }: TestEventOptions,
): Promise<SourceTestResult> {
  const samplerOf = samplers[source.provider];
  if (samplerOf === undefined) {
    throw new WarrenError("SOURCE_TEST_UNSUPPORTED", `${source.name} is a source of ${source.provider}`);
  }
  const nowMs = now();
  const secret = source.secrets.findLast((one) => isCurrent(one, nowMs));
  if (secret === undefined) {
    throw new WarrenError(
      "WEBHOOK_SECRETS_NOT_CURRENT",
      `the source ${source.name} has no current secret to sign with`,
    );
  }
  const path = `/webhooks/${source.name}`;
  const id = newId();
  const sample = samplerOf(source.options)({ key: secret.key, id, type, nowMs, payload, path });
  const correlationId = `test-${id}`;
  const headers = { ...sample.headers, "user-agent": "warren-test", "x-correlation-id": correlationId };
  const { statusCode, body } = await inject({
    method: "POST",
    url: sample.url ?? path,
    headers,
    payload: sample.body,
  });
  return {
    accepted: statusCode < 300,
    correlationId,
    request: { method: "POST", ...shown({ ...sample, headers }, path), body: sample.body },
    answer: { status: statusCode, body },
  };
}

function shown({ headers, url, bearsSecret = [] }: Sample, path: string) {
  return {
    url: bearsSecret.includes("url") ? `${path}?${masked}` : (url ?? path),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, bearsSecret.includes(name) ? masked : value]),
    ),
  };
}
