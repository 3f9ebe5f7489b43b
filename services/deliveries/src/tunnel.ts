import { connect as connectTcp, isIPv6, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface TunnelOptions {
  /** `http://user:password@egress.internal:3128`; https where the proxy itself is reached by TLS. */
  readonly proxy: URL;
  /** Where to: an address that was judged, so that the proxy has no name to resolve otherwise. */
  readonly address: string;
  readonly port: number;
  readonly localAddress: string | null;
  readonly timeoutMs: number;
}

const longestAnswer = 8_192;

/** Opens a tunnel through an HTTP proxy (CONNECT, RFC 9110 §9.3.6). @throws Error when the proxy cannot be reached or refuses. */
export function openTunnel({ proxy, address, port, localAddress, timeoutMs }: TunnelOptions): Promise<Socket> {
  const isSecure = proxy.protocol === "https:";
  const host = proxy.hostname.startsWith("[") ? proxy.hostname.slice(1, -1) : proxy.hostname;
  const at = {
    host,
    port: proxy.port === "" ? (isSecure ? 443 : 80) : Number(proxy.port),
    ...(localAddress === null ? {} : { localAddress }),
  };
  const target = `${isIPv6(address) ? `[${address}]` : address}:${port}`;

  return new Promise((resolve, reject) => {
    const socket: Socket = isSecure ? connectTls({ ...at, servername: host }) : connectTcp(at);
    let answer = "";
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      const end = answer.indexOf("\r\n\r\n");
      if (end === -1) {
        if (answer.length > longestAnswer) fail(new Error("the proxy's answer to CONNECT has no end"));
        return;
      }
      const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(answer) ?? [];
      if (status === undefined || !status.startsWith("2")) {
        return fail(new Error(`the proxy refused the tunnel: ${answer.slice(0, 100).split("\r\n")[0] ?? ""}`));
      }
      // a server that speaks first is no HTTP server
      if (answer.length > end + 4) return fail(new Error("the proxy sent more than its answer"));
      socket.off("data", onData);
      socket.off("error", fail);
      socket.off("close", onClose);
      socket.setTimeout(0);
      socket.pause();
      resolve(socket);
    };
    const onClose = () => fail(new Error("the proxy closed the connection"));
    socket.setTimeout(timeoutMs, () => fail(new Error(`the proxy did not answer within ${timeoutMs} ms`)));
    socket.on("error", fail);
    socket.on("close", onClose);
    socket.on("data", onData);
    socket.once(isSecure ? "secureConnect" : "connect", () => {
      socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${authorization(proxy)}\r\n`);
    });
  });
}

function authorization({ username, password }: URL): string {
  if (username === "" && password === "") return "";
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Proxy-Authorization: Basic ${Buffer.from(pair).toString("base64")}\r\n`;
}
