import type { OpenEndpoint } from "@warren/jobs";
import { Agent } from "undici";
import type { AddressGuard } from "./address.ts";
import { type ConnectorOptions, createConnector } from "./connect.ts";

/** Connections to one endpoint, by its settings at one revision. */
interface EndpointAgent {
  readonly dispatcher: Agent;
  /** The address connected to last. */
  address(): string | undefined;
}

/** Connections to endpoints, kept alive between deliveries. */
export interface Agents extends AsyncDisposable {
  of(endpoint: Pick<OpenEndpoint, "id" | "revision" | "settings" | "sealed">): EndpointAgent;
}

const mostAgents = 1_000;
/** A connection that its server closes just as it is used again is a failed try: short of what servers allow, unless they say more. */
const idleMs = 1_000;

export interface AgentsOptions {
  readonly guard: AddressGuard;
  /** Default `dns.lookup`. */
  readonly resolve?: ConnectorOptions["resolve"] | undefined;
  /** Endpoints whose connections are kept. Default 1,000. */
  readonly most?: number;
}

/** Endpoints share no connection: client certificates and proxies are theirs. */
export function createAgents({ guard, resolve, most = mostAgents }: AgentsOptions): Agents {
  /** In order of use; the first was used longest ago. */
  const agents = new Map<string, EndpointAgent & { readonly revision: number }>();
  const closing = new Set<Promise<void>>();

  function letGo(id: string): void {
    const agent = agents.get(id);
    if (agent === undefined) return;
    agents.delete(id);
    // waits for what is under way
    const closed = agent.dispatcher.close().finally(() => closing.delete(closed));
    closing.add(closed);
  }

  return {
    of({ id, revision, settings, sealed }) {
      const known = agents.get(id);
      if (known?.revision === revision) {
        agents.delete(id);
        agents.set(id, known);
        return known;
      }
      letGo(id);
      let address: string | undefined;
      const connect = createConnector({
        guard,
        resolve,
        localAddress: settings.localAddress,
        proxyUrl: sealed.proxyUrl,
        clientCertificate: sealed.clientCertificate,
        timeoutMs: settings.timeoutMs,
        onConnected: (reached) => {
          address = reached;
        },
      });
      const dispatcher = new Agent({ connect, pipelining: 1, keepAliveTimeout: idleMs });
      const agent = { revision, dispatcher, address: () => address };
      agents.set(id, agent);
      if (agents.size > most) letGo(agents.keys().next().value ?? "");
      return agent;
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([...agents.values()].map(({ dispatcher }) => dispatcher.destroy()));
      agents.clear();
      await Promise.allSettled(closing);
    },
  };
}
