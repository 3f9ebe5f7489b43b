import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Transform, type TransformCallback } from "node:stream";

export interface TcpProxyOptions {
  readonly targetPort: number;
  /** Port to listen on at 127.0.0.1. Default: one that the system picks. */
  readonly port?: number;
}

/** A TCP proxy on loopback that can do to connections what networks do to them. Starts healed. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** The same URL, but through the proxy. */
  through(url: string): string;
  /** Number of open connections. */
  connections(): number;
  /** Resets every open connection (RST), as a restarted firewall does; new ones are accepted. */
  cut(): void;
  /** Resets every open connection and refuses new ones, as a host whose server is down; until `heal`. */
  refuse(): Promise<void>;
  /**
   * Nothing passes in either direction any more, yet every connection stays open and new ones are accepted: a half-open connection,
   * as after a pulled cable. Until `heal`, which delivers what was held back, as TCP does.
   */
  blackhole(): void;
  /** Every chunk of bytes, in both directions, arrives this much later. 0 takes the delay away. */
  delay(delayMs: number): void;
  /** Ends `refuse`, `blackhole` and `delay`. */
  heal(): Promise<void>;
}

/** Starts a proxy to a port of 127.0.0.1. */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const state: State = { pairs: new Set(), delayMs: 0, blackholed: false };
  const server = createServer((client) =>
    join(client, connect({ host: "127.0.0.1", port: options.targetPort }), state),
  );
  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  const cut = (): void => {
    for (const pair of state.pairs) pair.reset();
  };
  const refuse = async (): Promise<void> => {
    const closed = server.listening ? once(server, "close") : undefined;
    server.close();
    cut();
    await closed;
  };
  return {
    port,
    through: (url) => {
      const parsed = new URL(url);
      parsed.hostname = "127.0.0.1";
      parsed.port = String(port);
      return parsed.href;
    },
    connections: () => state.pairs.size,
    cut,
    refuse,
    blackhole: () => {
      state.blackholed = true;
    },
    delay: (delayMs) => {
      state.delayMs = delayMs;
    },
    heal: async () => {
      state.delayMs = 0;
      state.blackholed = false;
      for (const pair of state.pairs) pair.release();
      if (!server.listening) await listen(server, port);
    },
    [Symbol.asyncDispose]: refuse,
  };
}

interface State {
  readonly pairs: Set<Pair>;
  delayMs: number;
  blackholed: boolean;
}

interface Pair {
  reset(): void;
  release(): void;
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen({ host: "127.0.0.1", port });
  await once(server, "listening");
}

function join(client: Socket, upstream: Socket, state: State): void {
  const there = new Valve(state);
  const back = new Valve(state);
  const reset = (): void => {
    client.resetAndDestroy();
    upstream.resetAndDestroy();
    there.destroy();
    back.destroy();
  };
  const pair: Pair = {
    reset,
    release: () => {
      there.release();
      back.release();
    },
  };
  state.pairs.add(pair);
  for (const socket of [client, upstream]) {
    socket.setNoDelay(true);
    socket.once("error", reset);
    socket.once("close", () => state.pairs.delete(pair));
  }
  client.pipe(there).pipe(upstream);
  upstream.pipe(back).pipe(client);
}

interface Item {
  readonly dueAt: number;
  readonly send: () => void;
}

/** Passes bytes on in order: at once, when their delay is over, or not before the black hole ends. */
class Valve extends Transform {
  readonly #state: State;
  readonly #line: Item[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(state: State) {
    super();
    this.#state = state;
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#enqueue(() => this.push(chunk));
    done();
  }

  /** The end of one side is news too: it waits in the same line. */
  override _flush(done: TransformCallback): void {
    this.#enqueue(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    this.#line.length = 0;
    done(error);
  }

  /** Lets everything out that waits. */
  release(): void {
    for (const item of this.#line.splice(0)) item.send();
  }

  #enqueue(send: () => void): void {
    const dueAt = performance.now() + this.#state.delayMs;
    this.#line.push({ dueAt: Math.max(dueAt, this.#line.at(-1)?.dueAt ?? 0), send });
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    while (!this.#state.blackholed) {
      const [first] = this.#line;
      if (first === undefined) return;
      const waitMs = first.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(waitMs));
        return;
      }
      this.#line.shift();
      first.send();
    }
  }
}
