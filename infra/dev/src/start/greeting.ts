import { relative } from "node:path";
import type { Platform } from "./platform.ts";
import { type Row, readyTable, withoutPassword } from "./ready-table.ts";
import type { Settings } from "./settings.ts";

/** What is shown when everything is up. */
export function greeting(platform: Platform, settings: Settings, tookMs: number): string {
  return [
    "",
    readyTable(rows(platform, settings)),
    "",
    `Ready in ${(tookMs / 1000).toFixed(1)} s. Try:`,
    "",
    ...commands(platform, settings).map((command) => `  ${command}`),
    "",
    `Logs: ${near(settings.stateFolder)}/logs/   Stop: Ctrl-C`,
    "",
  ].join("\n");
}

function rows({ broker, database, services, urls, secretsFolder }: Platform, settings: Settings): readonly Row[] {
  const sandbox = services.some(({ plan }) => plan.name === "sandbox") ? "ready" : "";
  return [
    ...services
      .filter(({ plan }) => plan.name !== "sandbox")
      .map((service) => {
        const { name, port } = service.plan;
        const path = name === "ingress" ? "/webhooks/:source" : "";
        return { name, url: `http://127.0.0.1:${port}${path}`, state: service.state().kind };
      }),
    { name: "management API", url: urls.api, state: apiKey(settings, secretsFolder) },
    ...(urls.mailbox === undefined
      ? []
      : [{ name: "mailbox", url: urls.mailbox, state: `${sandbox}; SMTP on 127.0.0.1:${settings.smtpPort}` }]),
    ...(urls.yookassa === undefined ? [] : [{ name: "YooKassa sandbox", url: `${urls.yookassa}/v3`, state: sandbox }]),
    { name: "broker", url: withoutPassword(broker.amqpUrl), state: broker.description },
    ...(broker.managementUrl === undefined
      ? []
      : [{ name: "broker's console", url: broker.managementUrl, state: broker.credentials }]),
    { name: "database", url: withoutPassword(database.databaseUrl), state: database.description },
  ];
}

/** Where the key of the management API is. */
function apiKey({ env }: Settings, secretsFolder: string): string {
  const file = env["WARREN_API_KEYS_FILE"];
  if (env["WARREN_API_KEYS"] !== undefined) return "key: WARREN_API_KEYS";
  return `key in ${near(file ?? `${secretsFolder}/api-key`)}`;
}

function commands({ urls, secretsFolder }: Platform, settings: Settings): readonly string[] {
  const secret = `$(cat ${near(secretsFolder)}/github)`;
  const ownGithub = Object.keys(settings.env).some((name) => name.startsWith("WARREN_SOURCE_GITHUB"));
  const webhook = [
    `body='{"zen":"Keep it logically awesome."}'; curl -i ${urls.ingress}/webhooks/github -H 'content-type: application/json'`,
    `-H 'x-github-event: ping' -H "x-github-delivery: $(date +%s)" -H "x-hub-signature-256: sha256=$(printf %s "$body" | openssl dgst -sha256 -hmac "${secret}" -r | cut -d' ' -f1)" -d "$body"`,
  ];
  return [
    "npm run demo                     a thousand webhooks of three providers, and the books balanced",
    ownGithub ? `curl -i ${urls.ingress}/readyz` : webhook.join(" "),
    "npm run warren -- topology plan  what the broker has, against what it should have",
    `node --env-file=${near(settings.stateFolder)}/env app.ts  an app of yours (Node 24) against this broker and database`,
  ];
}

/** A path as one would type it here. */
function near(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}
