import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from "node:dns";
import { isIP, type LookupFunction, type Socket } from "node:net";
import type { EndpointSecrets } from "@warren/contracts";
import { buildConnector } from "undici";
import type { AddressGuard } from "./address.ts";
import { AddressRefusedError } from "./errors.ts";
import { openTunnel } from "./tunnel.ts";

export interface ConnectorOptions extends Pick<EndpointSecrets, "proxyUrl" | "clientCertificate"> {
  readonly guard: AddressGuard;
  readonly localAddress: string | null;
  /** For connecting, TLS included. */
  readonly timeoutMs: number;
  /** Called with the address of each connection. */
  readonly onConnected: (address: string) => void;
  /** Default `dns.lookup`. */
  readonly resolve?: typeof dnsLookup | undefined;
}

/**
 * Connects for undici, to allowed addresses only. What a name resolves to is judged where the connection takes it, so that a name cannot
 * mean one address when it is checked and another one when it is used; and the address that was really reached is judged again.
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { guard, localAddress, proxyUrl, clientCertificate, timeoutMs, onConnected } = options;
  const lookup = guardedLookup(guard, options.resolve ?? dnsLookup);
  const secure =
    clientCertificate === null
      ? {}
      : {
          cert: clientCertificate.certificate,
          key: clientCertificate.key,
          passphrase: clientCertificate.passphrase,
          ca: clientCertificate.authority,
        };
  const connect = buildConnector({ allowH2: false, timeout: timeoutMs, lookup, ...secure });

  function direct(target: buildConnector.Options, callback: buildConnector.Callback): void {
    connect({ ...target, localAddress }, (error, socket) => {
      if (error !== null) return callback(error, null);
      const refused = refusalOf(socket, guard);
      if (refused === undefined) {
        onConnected(socket.remoteAddress ?? "");
        return callback(null, socket);
      }
      socket.destroy();
      return callback(refused, null);
    });
  }

  async function tunnelled(proxy: string, target: buildConnector.Options): Promise<Socket> {
    const port = target.port === "" ? (target.protocol === "https:" ? 443 : 80) : Number(target.port);
    const address = await addressOf(hostOf(target), lookup);
    const socket = await openTunnel({ proxy: new URL(proxy), address, port, localAddress, timeoutMs });
    onConnected(address);
    if (target.protocol !== "https:") return socket;
    return new Promise((resolve, reject) => {
      connect({ ...target, httpSocket: socket }, (error, secured) => {
        if (error === null) resolve(secured);
        else reject(error);
      });
    });
  }

  return (target, callback) => {
    const host = hostOf(target);
    // an address in the URL is never looked up
    if (isIP(host) !== 0 && !guard(host)) return callback(new AddressRefusedError(host, [host]), null);
    if (proxyUrl === null) return direct(target, callback);
    void hand(tunnelled(proxyUrl, target), callback);
  };
}

/** Never rejects. */
async function hand(work: Promise<Socket>, callback: buildConnector.Callback): Promise<void> {
  let socket: Socket;
  try {
    socket = await work;
  } catch (error) {
    callback(error instanceof Error ? error : new Error(String(error)), null);
    return;
  }
  callback(null, socket);
}

/** Resolves to allowed addresses only. @throws AddressRefusedError when a name has none. */
function guardedLookup(guard: AddressGuard, resolve: typeof dnsLookup): LookupFunction {
  return (hostname, options, callback) => {
    const asked: LookupOptions = { ...options, all: true };
    resolve(hostname, asked, (error, found) => {
      if (error !== null) return callback(error, "");
      const all = found as readonly LookupAddress[];
      const allowed = all.filter(({ address }) => guard(address));
      const [first] = allowed;
      if (first === undefined) {
        const refused = new AddressRefusedError(
          hostname,
          all.map(({ address }) => address),
        );
        return callback(refused, "");
      }
      if (options.all === true) return callback(null, [...allowed]);
      return callback(null, first.address, first.family);
    });
  };
}

function addressOf(host: string, lookup: LookupFunction): Promise<string> {
  if (isIP(host) !== 0) return Promise.resolve(host);
  return new Promise((resolve, reject) => {
    lookup(host, {}, (error, address) => {
      if (error === null && typeof address === "string") resolve(address);
      else reject(error ?? new TypeError("a lookup gave no address"));
    });
  });
}

function refusalOf(socket: Socket, guard: AddressGuard): AddressRefusedError | undefined {
  const { remoteAddress } = socket;
  if (remoteAddress === undefined || guard(remoteAddress)) return undefined;
  return new AddressRefusedError(remoteAddress, [remoteAddress]);
}

function hostOf({ hostname }: buildConnector.Options): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}
