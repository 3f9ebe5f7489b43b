import { connect } from "amqplib";
import { Refusal, systemCode } from "../refusal.ts";

export type Probe =
  | { readonly kind: "answers"; readonly product: string; readonly version: string }
  /** A broker, but it does not let us in. */
  | { readonly kind: "refuses"; readonly why: "credentials" | "vhost" }
  | { readonly kind: "unreachable"; readonly code: string }
  /** Something else listens there. */
  | { readonly kind: "not-amqp" };

/** Connects once, and leaves again. */
export async function probeBroker(url: string, timeoutMs = 5000): Promise<Probe> {
  try {
    const connection = await connect(url, { timeout: timeoutMs });
    connection.on("error", () => undefined);
    const { product, version } = connection.connection.serverProperties;
    await connection.close();
    return { kind: "answers", product, version };
  } catch (error) {
    const code = systemCode(error);
    if (code !== undefined) return { kind: "unreachable", code };
    return probeFailure(error instanceof Error ? error.message : String(error));
  }
}

/** amqplib gives these failures no code: only the text of the handshake tells them apart. Pure. */
export function probeFailure(message: string): Probe {
  if (/ACCESS.REFUSED/.test(message)) return { kind: "refuses", why: "credentials" };
  if (/NOT.ALLOWED|got <ConnectionClose/.test(message)) return { kind: "refuses", why: "vhost" };
  if (/timed? ?out/i.test(message)) return { kind: "unreachable", code: "ETIMEDOUT" };
  return { kind: "not-amqp" };
}

/** Refuses with a sentence unless one of the URLs leads to RabbitMQ 3.10 or newer; answers its name for the table. */
export async function requireBroker(urls: string, variable: string): Promise<string> {
  const list = urls.split(",").map((url) => url.trim());
  for (const url of list) {
    if (!URL.canParse(url) || !["amqp:", "amqps:"].includes(new URL(url).protocol)) {
      throw new Refusal(`${variable} is no AMQP URL: expected amqp://user:password@host:5672/vhost`);
    }
  }
  const probes = await Promise.all(list.map((url) => probeBroker(url)));
  const good = probes.find((probe) => probe.kind === "answers");
  if (good?.kind === "answers") {
    requireVersion(good.product, good.version);
    return `${good.product} ${good.version}`;
  }
  const first = probes.find((probe) => probe.kind !== "answers");
  const [url = ""] = list;
  throw new Refusal(probeSentence(first ?? { kind: "not-amqp" }, url, variable));
}

/** Pure. Never shows the password. */
export function probeSentence(probe: Exclude<Probe, { kind: "answers" }>, url: string, variable: string): string {
  const { hostname, port, username, pathname } = new URL(url);
  const place = `${hostname}:${port === "" ? "5672" : port}`;
  if (probe.kind === "unreachable") {
    return `no broker answers on ${place} (${probe.code}): start it, or mend ${variable} (leave it out for a local one)`;
  }
  if (probe.kind === "not-amqp") return `what listens on ${place} is no AMQP broker: mend ${variable}`;
  const user = decodeURIComponent(username === "" ? "guest" : username);
  if (probe.why === "credentials") {
    return `the broker on ${place} refuses the user ${user}: mend user and password in ${variable} (guest may only connect from the broker's own machine)`;
  }
  const vhost = pathname === "" || pathname === "/" ? "/" : decodeURIComponent(pathname.slice(1));
  return `the broker on ${place} has no vhost "${vhost}", or ${user} may not use it: make it (rabbitmqctl add_vhost ${vhost}; rabbitmqctl set_permissions -p ${vhost} ${user} ".*" ".*" ".*") or mend ${variable}`;
}

/** Quorum queues with a delivery limit and at-least-once dead lettering need 3.10. */
function requireVersion(product: string, version: string): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (product !== "RabbitMQ" || major > 3 || (major === 3 && minor >= 10)) return;
  throw new Refusal(
    `this RabbitMQ is ${version} and Warren needs 3.10 or newer: upgrade it, or set WARREN_BROKER=private`,
  );
}
