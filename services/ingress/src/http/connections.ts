import type { Socket } from "node:net";
import type { Logger, Metrics } from "@warren/observability";
import { addressList, inAddressList, plainAddress } from "../address/address-list.ts";

export interface ConnectionLimits {
  /** Connections held at once. */
  readonly total: number;
  /** … from one IPv4 address, or one /64 of IPv6. Trusted proxies are exempt: many senders share their address. */
  readonly perAddress: number;
}

export const defaultConnectionLimits: ConnectionLimits = { total: 10_000, perAddress: 1_000 };

export interface ConnectionsOptions {
  readonly limits: ConnectionLimits;
  readonly trustedProxies: readonly string[];
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The connections of a server. */
export interface Connections {
  /** Takes a connection, or closes it at once when there are too many. */
  admit(socket: Socket): void;
  /** Closes those that never sent a byte: Node closes idle ones after a request, and would wait for these. */
  closeSilent(): void;
}

const complainEveryMs = 10_000;

export function createConnections({ limits, trustedProxies, log, metrics }: ConnectionsOptions): Connections {
  const trusted = addressList(trustedProxies);
  const refused = metrics.counter({
    name: "warren_http_connections_refused_total",
    help: "Connections that were closed at once, because there were too many in all or from their address",
    labels: ["limit"],
  });
  const open = new Set<Socket>();
  const perNetwork = new Map<string, number>();
  let complainedAt = Number.NEGATIVE_INFINITY;

  function refuse(socket: Socket, limit: keyof ConnectionLimits): void {
    socket.destroy();
    refused.inc({ limit });
    const now = performance.now();
    if (now - complainedAt < complainEveryMs) return;
    complainedAt = now;
    log.warn({ limit, most: limits[limit], peer: socket.remoteAddress }, "too many connections: new ones are closed");
  }

  return {
    admit(socket) {
      if (open.size >= limits.total) {
        refuse(socket, "total");
        return;
      }
      const address = plainAddress(socket.remoteAddress ?? "");
      const exempt = address === undefined || (trustedProxies.length > 0 && inAddressList(trusted, address));
      const network = exempt ? undefined : networkOf(address);
      if (network !== undefined) {
        const count = perNetwork.get(network) ?? 0;
        if (count >= limits.perAddress) {
          refuse(socket, "perAddress");
          return;
        }
        perNetwork.set(network, count + 1);
      }
      open.add(socket);
      socket.once("close", () => {
        open.delete(socket);
        if (network === undefined) return;
        const left = (perNetwork.get(network) ?? 1) - 1;
        if (left === 0) perNetwork.delete(network);
        else perNetwork.set(network, left);
      });
    },
    closeSilent() {
      for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
    },
  };
}

/** What counts as one sender: an IPv4 address, or the first 64 bits of an IPv6 address, of which one customer has all. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.toLowerCase().split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const end = tail === "" ? [] : tail.split(":");
    // a dotted end stands for two groups
    const width = end.length + (tail.includes(".") ? 1 : 0);
    while (groups.length + width < 8) groups.push("0");
    groups.push(...end);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
